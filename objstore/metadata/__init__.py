"""Records: one or many, read, listed, watched, and stored by a commit."""
