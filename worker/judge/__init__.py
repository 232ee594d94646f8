"""From a message and its policy to a judgement."""
