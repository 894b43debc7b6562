"""What objects and buckets are: names, records, options. No I/O."""
