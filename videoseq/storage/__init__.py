"""Files that appear in full or not at all, locks, logs of JSON lines, arrays on disk."""
