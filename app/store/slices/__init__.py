"""Bodies and header lists as slices that are kept once, and put together again."""
