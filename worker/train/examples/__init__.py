"""From a row under a policy to token ids, and from those to batches."""
