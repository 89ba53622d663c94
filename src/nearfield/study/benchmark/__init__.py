"""Embeddings asked the same questions about the same tracks: what a benchmark's table is made of."""
