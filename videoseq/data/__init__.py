"""Annotated clips: dataset, splits, statistics, batches that carry state, augmentation."""
