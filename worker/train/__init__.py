"""From labelled data to a model that the worker serves."""
