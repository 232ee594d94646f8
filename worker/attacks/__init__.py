"""Attacks on the judge: generated cases, the proof that no text leaves its place, and what they do to verdicts."""
