"""A model for other runtimes."""
