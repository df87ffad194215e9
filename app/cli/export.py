"""`verbatim export`."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from app.cli.asking import Asked
from app.cli.export_file import Blocks, Lines, Records, Rows, fill, take_up
from app.cli.output import TerminalFile, say
from app.errors import ConfigError

FORMATS = ("jsonl", "csv", "txt", "md", "parquet", "openai-finetune")
TRIES = 5
_RESUMABLE = ("jsonl", "csv")

Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Standard output where it is left out.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a FILE that was cut (jsonl, csv), same filters.")
]
NoMessages = Annotated[bool, typer.Option("--no-messages", help="Leave out what was said; much faster.")]
Order = Annotated[str, typer.Option(metavar="asc|desc", help="asc: oldest first; desc: newest first.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many exchanges.")]


def export(
    asked: Asked,
    file_format: Format = "jsonl",
    output: Output = None,
    resume: Resume = False,
    no_messages: NoMessages = False,
    order: Order = "asc",
    limit: Limit = None,
) -> None:
    """Write exchanges to a file: a table, transcripts, Parquet, or examples for fine-tuning."""
    if file_format not in FORMATS:
        raise ConfigError(f"--format {file_format}: takes one of {', '.join(FORMATS)}")
    records = _records(file_format)
    parameters = [*asked.filters, ("format", file_format), ("order", order)]
    parameters += [("messages", "false")] if no_messages else []
    parameters += [("ids", "true")] if file_format == "openai-finetune" else []

    def pieces(after: str | None) -> Iterator[bytes]:
        more = [("after", after)] if after is not None else []
        if limit is not None:
            if (left := limit - _passed(records)) <= 0:
                return
            more.append(("limit", str(left)))
        if isinstance(records, Rows):
            more.append(("header", "false" if records.has_names else "true"))
        with asked.api.stream("/api/export", [*parameters, *more]) as answer:
            yield from answer.iter_bytes()

    with ExitStack() as stack:
        file = _opened(stack, output, resume, file_format, records)
        tell = _progress(stack)
        fill(file, records, pieces, tell, TRIES)
    _sum_up(records, output)


def _records(file_format: str) -> Records:
    if file_format == "csv":
        return Rows()
    if file_format in ("jsonl", "openai-finetune"):
        return Lines(unwrap=file_format == "openai-finetune")
    return Blocks()


def _passed(records: Records) -> int:
    return records.count + (records.left_out.total() if isinstance(records, Lines) else 0)


def _opened(
    stack: ExitStack, output: Path | None, resume: bool, file_format: str, records: Records
) -> BinaryIO:
    if resume and (output is None or file_format not in _RESUMABLE):
        raise ConfigError(f"--resume: takes --output, and --format {' or '.join(_RESUMABLE)}")
    if output is None and not sys.stdout.isatty():
        return sys.stdout.buffer
    if output is None:
        if file_format == "parquet":
            raise ConfigError("--format parquet: is no text for a terminal; --output names a file")
        return io.BufferedWriter(TerminalFile(), 1)
    try:
        if resume and output.exists():
            take_up(output, records)
            return stack.enter_context(output.open("ab"))
        return stack.enter_context(output.open("xb"))
    except FileExistsError as error:
        raise ConfigError(f"--output {output}: is there already; --resume goes on with it") from error
    except OSError as error:
        raise ConfigError(f"--output {output}: {error.strerror}") from error


def _progress(stack: ExitStack) -> Callable[[int, int], None]:
    """A line on the terminal that tells how far it is."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[records]} exchanges"),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    shown = Console(stderr=True)
    if not shown.is_terminal:
        return lambda _records, _written: None
    progress = stack.enter_context(Progress(*columns, console=shown, transient=True))
    task = progress.add_task("export", total=None, records=0)
    return lambda records, written: progress.update(task, completed=written, records=records)


def _sum_up(records: Records, output: Path | None) -> None:
    if isinstance(records, Lines) and records.left_out:
        from app.export.finetune import summary

        say(f"{records.count} examples; {records.left_out.total()} exchanges are none:")
        for line in summary(records.left_out):
            say(f"  {line}")
    elif output is not None and records.count:
        say(f"{records.count} exchanges in {output}")
