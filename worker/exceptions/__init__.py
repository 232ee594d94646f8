"""Exceptions: scoped, expiring allowances that take hits out of the recommended action, in plain sight."""
