"""Reading an object: its chunks, in order or by place, counted and verified."""
