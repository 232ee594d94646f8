"""The small network: its shape, its checkpoints, its scores while it trains."""
