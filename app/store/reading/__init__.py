"""Single exchanges, lists and bodies, as values."""
