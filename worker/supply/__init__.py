"""What this program is made of: a bill of materials, licences, known vulnerabilities. For those who maintain it."""
