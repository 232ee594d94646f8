"""The data plane: Kafka in, judge, Kafka out."""
