"""Frames → feature vectors."""
