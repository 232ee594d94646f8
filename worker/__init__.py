"""A streaming moderation worker: Kafka messages in, RSafe verdicts and reasoning traces out."""

__version__ = "0.1.0"
