"""Labels against targets: metrics, baselines, two annotators, two models."""
