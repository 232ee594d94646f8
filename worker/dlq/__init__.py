"""Dead letters after the fact: what lies there, why, and sending it again."""
