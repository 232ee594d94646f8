"""The result table: seven ways of training one small decoder, three seeds each, on equal rows. See ``plan.py``."""
