"""Many videos: plan, journal, worker processes."""
