"""What people wrote down → one target per frame."""
