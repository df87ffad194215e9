"""The record, read by programs: the console's REST API. It never touches the journal.

server.py      the FastAPI application put together; create_console
guard.py       who may ask, under which name; headers that every answer carries
errors.py      every error in OpenAI's envelope
exchanges.py   /api/exchanges and what is under it
export.py      /api/export: any exchanges as a file
exporter.py    an export while it runs
tail.py        /api/tail: exchanges as they end
compression.py gzip and zstd for answers that are made while they are sent
status.py      /healthz, /metrics, /api/status
schemas.py     what the wire promises
"""
