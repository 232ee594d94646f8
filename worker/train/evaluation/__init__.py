"""How good a model is, measured through the engine and the parser that serve."""
