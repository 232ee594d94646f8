"""Replays: a range of messages judged again, and the report about it."""
