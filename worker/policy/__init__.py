"""Tenants' policies: what they are, how they combine, where they live."""
