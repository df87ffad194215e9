"""Verbatim keeps every exchange that programs have with the OpenAI API, word for word.

The tree reads in the order of a byte's life:

    client ─▶ proxy/ ─▶ upstream
                │ tee
                ▼
             journal/ ──▶ recorder/ ──▶ store/ ──▶ api/
                             │
                          decode/ (pure)

    cli/        composition: the only place where the stages meet
    proxy/      a client's call goes upstream, the answer comes back; no database anywhere
    journal/    frames safe on disk before their bytes go on; knows nothing of OpenAI
    decode/     bytes to meaning; pure
    recorder/   journal to transcripts to records to the store; one per journal
    store/      PostgreSQL; the only SQL
    export/     records to files: JSON Lines, CSV, text, Markdown, Parquet, fine-tuning; pure
    api/        the record, read by programs
    telemetry/  logs, metrics, background tasks

Beside them: `exchange` (the words the stages share), `config`, `clock`, `errors`, `frozen`.
"""

__version__ = "0.1.0"
