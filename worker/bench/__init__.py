"""Ratios that say how much the worker adds to the bare engine."""
