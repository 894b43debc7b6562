"""What people type: places of objects, globs, sizes and times, and the words of other tools."""
