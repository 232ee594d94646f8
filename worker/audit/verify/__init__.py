"""Proof from the topics that each message has one outcome."""
