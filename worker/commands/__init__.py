"""One module per command of ``rsafe``."""
