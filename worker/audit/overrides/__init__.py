"""Decisions of people, beside those of the model."""
