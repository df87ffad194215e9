"""`verbatim`: the verbs, and the one line that an error becomes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from app import __version__
from app.cli.asking import asking
from app.cli.console import console
from app.cli.conversations import conversations
from app.cli.db import db
from app.cli.doctor import doctor
from app.cli.erase import erase, erase_options
from app.cli.export import export
from app.cli.filters import filter_options
from app.cli.journal import journal
from app.cli.list_exchanges import list_exchanges, search
from app.cli.output import say
from app.cli.proxy import proxy
from app.cli.rebuild_search import or_rebuild
from app.cli.record import record
from app.cli.recost import recost
from app.cli.redecode import redecode
from app.cli.serve import serve
from app.cli.show import show
from app.cli.stats import stats
from app.cli.storage import storage
from app.cli.tail import tail
from app.cli.token import token
from app.errors import ConfigError, VerbatimError

EXIT_FAILED = 1
EXIT_MISUSED = 2


def run() -> None:
    """The console script. Exit codes: 0 done, 1 failed, 2 wrong settings or arguments."""
    try:
        command_line()(prog_name="verbatim")
    except VerbatimError as error:
        say(f"verbatim: {error}")
        sys.exit(EXIT_MISUSED if isinstance(error, ConfigError) else EXIT_FAILED)


def command_line() -> typer.Typer:
    """All verbs."""
    # A traceback with local variables would show secrets.
    commands = typer.Typer(
        help="Records every exchange that programs have with the OpenAI API, word for word.",
        epilog="Settings are environment variables (VERBATIM_…) or a TOML file; docs/settings.md lists them.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    commands.callback()(_options)
    for verb in (serve, proxy, record, console, doctor, recost, redecode):
        commands.command()(verb)
    with_filters: dict[str, Callable[..., None]] = {
        "list": list_exchanges,
        "conversations": conversations,
        "stats": stats,
        "export": export,
        "tail": tail,
    }
    for name, ask in with_filters.items():
        commands.command(name)(asking(ask, tuple(filter_options())))
    found = asking(search, tuple(filter_options(without=frozenset({"q"}))))
    commands.command("search")(or_rebuild(found))
    commands.command()(asking(show))
    commands.command()(asking(storage))
    commands.command()(asking(erase, tuple(erase_options())))
    commands.add_typer(db())
    commands.add_typer(journal())
    commands.add_typer(token())
    return commands


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"verbatim {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and end.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options before the verb."""
