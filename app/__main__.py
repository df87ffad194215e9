"""`python -m app` is the command `verbatim`."""

from app.cli.main import run

run()
