"""`verbatim journal quarantine list | show | retry`."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import ConfigFile, read_settings
from app.cli.output import Shown, print_table, say
from app.errors import JournalError
from app.export.plain_text import plain_line
from app.journal.reader import JournalDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from app.recorder.set_aside import SetAside
    from app.recorder.transcript import Transcript

ExchangeId = Annotated[
    str, typer.Argument(metavar="ID", help="The exchange's id, as `journal quarantine list` shows it.")
]
SomeId = Annotated[str | None, typer.Argument(metavar="[ID]", help="The exchange's id.")]
All = Annotated[bool, typer.Option("--all", help="Every exchange that is there.")]


def quarantine() -> typer.Typer:
    """The verbs under `verbatim journal quarantine`."""
    commands = typer.Typer(
        name="quarantine", help="Exchanges that PostgreSQL would not take.", no_args_is_help=True
    )
    commands.command(name="list")(list_files)
    commands.command()(show)
    commands.command()(retry)
    return commands


def list_files(config: ConfigFile = None) -> None:
    """List what was set aside, oldest first."""
    folder, place = _open(config)
    try:
        files = folder.files()
    except OSError as error:
        raise _failed(place, error) from error
    if not files:
        say("nothing is in quarantine")
        return
    print_table(
        [Shown("set aside (UTC)"), Shown("bytes", justify="right"), Shown("what", is_long=True)],
        [
            (_clock(each.modified_ns), each.size_bytes, each.exchange_id or f"unreadable segment {each.name}")
            for each in files
        ],
    )


def show(exchange: ExchangeId, config: ConfigFile = None) -> None:
    """Show what an exchange in quarantine is, without its bodies."""
    folder, place = _open(config)
    exchange_id = _id(exchange)
    try:
        transcript, frames = folder.read(exchange_id)
    except FileNotFoundError as error:
        raise JournalError(f"{exchange_id} is not in {place}") from error
    except OSError as error:
        raise _failed(place, error) from error
    print(f"exchange  {exchange_id}, {frames} frames")
    for name, text in _lines(transcript):
        print(f"{name:<10}{plain_line(text)}")


def retry(exchange: SomeId = None, every: All = False, config: ConfigFile = None) -> None:
    """Put exchanges back into the journal: the recorder delivers them, or sets them aside once more."""
    if (exchange is None) != every:
        raise typer.BadParameter("give either an exchange's id or --all")
    folder, place = _open(config)
    try:
        found = [each.exchange_id for each in folder.files() if each.exchange_id] if every else []
        wanted = [_id(exchange)] if exchange is not None else found
        back = sum(folder.retry(each) for each in wanted)
    except OSError as error:
        raise _failed(place, error) from error
    if exchange is not None and not back:
        raise JournalError(f"{wanted[0]} is not in {place}; nothing was done")
    print(f"{back} put back into the journal; the recorder delivers what PostgreSQL takes by now")


def _open(config: Path | None) -> tuple[SetAside, Path]:
    from app.recorder.set_aside import SetAside

    folder = SetAside(JournalDirectory(read_settings(config).journal_dir))
    return folder, folder.path


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise typer.BadParameter("that is no exchange's id") from error


def _lines(transcript: Transcript) -> list[tuple[str, str]]:
    begin, head, end = transcript.begin, transcript.head, transcript.end
    lines: list[tuple[str, str]] = []
    if begin is not None:
        lines += [
            ("began", f"{_clock(begin.wall_ns)} UTC"),
            ("request", f"{begin.method} {begin.target.decode('utf-8', 'replace')} ({begin.authority})"),
            ("project", begin.project),
            ("kept", begin.mode),
        ]
        lines += [("user", begin.user)] if begin.user is not None else []
    if head is not None:
        lines.append(("status", str(head.status)))
    if end is not None:
        lines += [
            ("outcome", end.outcome if end.reason is None else f"{end.outcome} ({end.reason})"),
            ("bytes", f"{end.request_bytes} asked, {end.response_bytes} answered"),
        ]
    return lines


def _clock(wall_ns: int) -> str:
    try:
        moment = datetime.datetime.fromtimestamp(wall_ns / 1e9, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{wall_ns} ns after 1970"
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _failed(place: Path, error: OSError) -> JournalError:
    return JournalError(f"{place}: {error.strerror or error}")
