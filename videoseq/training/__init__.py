"""Annotated clips → a model and its metrics."""
