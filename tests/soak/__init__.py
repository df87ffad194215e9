"""The fault campaign: which rows there are, how each is run in full, and the page that tells what came of it."""
