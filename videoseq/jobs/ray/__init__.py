"""Many videos on the nodes of a Ray cluster."""
