"""Logits → labels of one video, for a file or frame by frame."""
