"""Sample traffic and policies, and the small model."""
