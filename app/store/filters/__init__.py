"""Which exchanges are wanted: read from names and values, and turned into conditions of statements."""
