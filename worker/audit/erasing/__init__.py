"""Taking words back, and the holds that forbid it."""
