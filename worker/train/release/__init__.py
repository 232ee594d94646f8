"""From a checkpoint to a model folder that can be served, with its papers."""
