"""The benchmarks, one in each room; :mod:`benchmarks.catalogue` lists them."""
