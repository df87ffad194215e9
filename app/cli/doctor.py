"""`verbatim doctor`: tries each part and says, a line each, what is wrong and what to do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import typer

from app.cli import checks
from app.cli.checks import Finding, State
from app.cli.options import ConfigFile, read_settings
from app.config import Settings
from app.errors import ConfigError
from app.recorder.price_file import own_prices

_MARKS = {State.OK: "ok  ", State.NOTE: "note", State.WRONG: "FAIL"}


def doctor(config: ConfigFile = None) -> None:
    """Try every part, and say what is wrong and what to do. Ends with 1 where anything is."""
    try:
        settings = read_settings(config)
        own_prices(settings.prices)
    except ConfigError as error:
        print(_line(Finding("settings", State.WRONG, str(error))))
        raise typer.Exit(1) from error
    print(_line(Finding("settings", State.OK, "every setting is known and well formed")))
    if not asyncio.run(_examine(settings)):
        raise typer.Exit(1)


async def _examine(settings: Settings) -> bool:
    """Prints each finding as soon as it is there; true where nothing is wrong."""
    all_well = True
    async for finding in _findings(settings):
        print(_line(finding))
        sys.stdout.flush()
        all_well = all_well and finding.state is not State.WRONG
    return all_well


async def _findings(settings: Settings) -> AsyncIterator[Finding]:
    examinations: list[Callable[[Settings], Awaitable[list[Finding]]]] = [
        checks.check_data_dir,
        checks.check_journal,
        checks.check_database,
        checks.check_upstreams,
        checks.check_listeners,
    ]
    for examination in examinations:
        for finding in await examination(settings):
            yield finding


def _line(finding: Finding) -> str:
    advice = f"; {finding.advice}" if finding.advice else ""
    return f"{_MARKS[finding.state]}  {finding.part:<10} {finding.text}{advice}"
