"""Other clients of the object store, behind one small interface."""
