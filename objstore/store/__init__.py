"""One bucket, as users see it."""
