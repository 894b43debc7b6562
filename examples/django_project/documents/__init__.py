"""Documents that belong to somebody."""
