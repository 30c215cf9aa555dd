"""Features → logits: heads, cells, decoding, the model folder."""
