"""Buckets as fsspec sees them."""
