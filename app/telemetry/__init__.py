"""Logs, metrics and background tasks: what the product says about itself."""
