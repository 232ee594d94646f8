"""Verdicts for others: files, and statements of reasons."""
