"""Why a verdict was what it was, from the log."""
