"""Video file → frames, each with its index and its time."""
