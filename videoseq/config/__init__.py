"""Settings: what may be set, and how it is read from YAML."""
