"""The log read again: replays, proofs of completeness, explanations, exports."""
