"""Which exchanges belong together: found while writing, listed for readers."""
