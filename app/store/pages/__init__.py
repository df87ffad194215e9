"""Pages: what is wanted, the exchanges that a filter passes, and rows in an order, within a time budget."""
