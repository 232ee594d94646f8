"""Policies for training and evaluation: concepts in words, and how one policy is drawn for a row."""
