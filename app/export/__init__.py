"""Exchanges as files: from the records that the REST API gives to the bytes of a file; pure.

formats.py     which formats there are, and what each needs; file_format
values.py      what a writer takes and is
jsonl.py       a record a line
csv_table.py   a row an exchange, safe to open in a spreadsheet
columns.py     the columns of tables
transcript.py  text and Markdown to read
finetune.py    OpenAI's format for fine-tuning: what can be an example, and why the rest cannot
parquet.py     Parquet, by pyarrow
plain_text.py  logged text that steers no terminal

Records come as JSON values, so that the command line, which has them from the API, writes them by the same code.
"""
