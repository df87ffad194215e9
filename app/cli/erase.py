"""`verbatim erase`."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from app.cli.asking import Asked
from app.cli.filters import keyword
from app.cli.output import print_json, say, wants_json
from app.cli.storage import size
from app.errors import ConfigError, ConsoleUnreachableError
from app.export.plain_text import plain_line

ERASURES = "/api/erasures"
POLL_SECONDS = 0.5
TRIES = 60
"""Times that a console which does not answer is asked again while an erasure is waited for."""
COUNTS = (
    ("exchanges", "exchanges"),
    ("transcripts", "of them with content"),
    ("pieces", "slices of bodies and headers"),
    ("pieces_kept", "more that others use: kept"),
    ("runs", "keys of what was said"),
    ("search_texts", "texts of the search"),
    ("signatures", "signatures of the search, made anew"),
    ("conversations", "conversations"),
    ("names", "names of conversations"),
    ("links", "loose ends of conversations"),
    ("user_days", "daily sums of the user"),
    ("tag_days", "daily sums of tags that nothing else has"),
)

WHOSE: dict[str, str] = {
    "user": "All of a user.",
    "key": "All that came with a credential, by its fingerprint.",
    "conversation": "All of a conversation, by its id or name.",
    "project": "In this project; may be left out where there is only one.",
    "until": "Begun before then: 2026-11-22, 30d; until now else.",
}
"""What may be asked for: the fields of a request."""

One = Annotated[str | None, typer.Option(metavar="ID", help="One exchange.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what would go, and erase nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Do not wait until nothing is left; --receipt tells later.")
]
Receipt = Annotated[
    str | None, typer.Option(metavar="ID", help="How far an erasure is, and what went; erases nothing.")
]


def erase(
    asked: Asked,
    *,
    exchange: One = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_wait: NoWait = False,
    receipt: Receipt = None,
) -> None:
    """Erase for good all of a user, a key or a conversation, or one exchange, and print the receipt."""
    wanted: dict[str, Any] = dict(asked.filters) | ({"exchange": exchange} if exchange else {})
    if receipt is not None:
        if wanted or dry_run:
            raise ConfigError("--receipt: takes an erasure's id and no further options")
        answer = asked.api.get(_path(receipt))
    else:
        would = asked.api.send("POST", ERASURES, {**wanted, "dry_run": True})
        if dry_run:
            _print_count(asked, would)
            return
        _confirm(would, yes)
        answer = asked.api.send("POST", ERASURES, wanted)
    if not no_wait:
        answer = _waited(asked, answer)
    if wants_json(asked.as_json):
        print_json(answer)
    else:
        _print_receipt(answer)


def erase_options() -> Iterator[inspect.Parameter]:
    """The options that say what to erase."""
    for name, sentence in WHOSE.items():
        yield keyword(name, Annotated[str | None, typer.Option(help=sentence, show_default=False)])


def _path(erasure_id: str) -> str:
    return f"{ERASURES}/{quote(erasure_id, safe='')}"


def _confirm(would: Mapping[str, Any], yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("--yes: has to be given where nobody can be asked")
    say(_would_go(would))
    typer.confirm("Erase for good?", abort=True, err=True)


def _would_go(would: Mapping[str, Any]) -> str:
    return (
        f"{would['exchanges']} exchanges in {would['conversations']} conversations,"
        f" {size(would['body_bytes'])} of bodies, of {would['kind']} {would['value']} in project {would['project']}"
    )


def _print_count(asked: Asked, would: Mapping[str, Any]) -> None:
    if wants_json(asked.as_json):
        print_json(would)
        return
    print(plain_line(_would_go(would)))
    if would["exchanges"]:
        print(f"  the first began {would['first_started_at']}, the last {would['last_started_at']}")


def _waited(asked: Asked, answer: dict[str, Any]) -> dict[str, Any]:
    """The erasure once it is done, with a line that tells how far it is."""
    from rich.console import Console

    failures = 0
    with Console(stderr=True).status("") as line:
        while answer["status"] != "done":
            line.update(_progress(answer))
            time.sleep(POLL_SECONDS)
            try:
                answer = asked.api.get(_path(answer["id"]))
                failures = 0
            except ConsoleUnreachableError:
                failures += 1
                if failures >= TRIES:
                    raise
    return answer


def _progress(answer: Mapping[str, Any]) -> str:
    if answer["status"] == "erasing":
        return f"{answer['counts']['exchanges']} exchanges erased"
    hosts = [each["host"] for each in answer["recorders"] if each["live"] and each["done_at"] is None]
    return f"waiting for the journals of {len(hosts)} recorders"


def _print_receipt(answer: Mapping[str, Any]) -> None:
    print(f"erasure   {answer['id']}, of a {answer['kind']} in project {answer['project']}")
    print(f"asked     {answer['requested_at']}; what began until {answer['until'] or 'then'}")
    print(f"tables    {answer['erased_at'] or 'still have some of it'}")
    for name, sentence in COUNTS:
        if answer["counts"][name] or name == "exchanges":
            print(f"          {answer['counts'][name]:>8} {sentence}")
    for each in answer["recorders"]:
        _print_recorder(each)
    print(f"status    {answer['status']}")


def _print_recorder(told: Mapping[str, Any]) -> None:
    state = told["done_at"] or (
        "may still have some of it" if told["live"] else "is away; reports when it is back"
    )
    print(f"journal   {state}, recorder {told['id']}")
    for name, sentence in (
        ("stopped", "exchanges that were on their way"),
        ("quarantined", "exchanges out of its quarantine"),
        ("quarantine_unreadable", "files in its quarantine that nobody can read: look at them"),
    ):
        if told[name]:
            print(f"          {told[name]:>8} {sentence}")
