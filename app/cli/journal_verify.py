"""`verbatim journal verify`."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

import typer

from app.cli.options import ConfigFile, read_settings
from app.cli.recost import database_url
from app.config import Settings
from app.errors import JournalError
from app.exchange import CARRY_SLOT
from app.journal.reader import JournalDirectory

if TYPE_CHECKING:
    from app.recorder.conservation import Balance

TRIES = 3
PAUSE_SECONDS = 1.0
"""A writer at work may owe the disk a number for a moment, and segments are let go while one looks."""
MOST_RANGES = 20


def verify(config: ConfigFile = None) -> None:
    """Count, from journal and database, what became of every accepted exchange; fails where one is missing."""
    settings = read_settings(config)
    found = asyncio.run(_balances(settings))
    for balance in found:
        print(_line(balance))
        for line in _missing(balance):
            print(line)
    bad = sum(not each.is_kept for each in found)
    accepted = sum(each.accepted for each in found if each.chain[1] < CARRY_SLOT)
    if bad:
        print(f"{bad} of {len(found)} writers do not balance")
        raise typer.Exit(1)
    print(f"{len(found)} writers balance; highest numbers together: {accepted}")


async def _balances(settings: Settings) -> list[Balance]:
    from app.recorder.conservation import balances, read_held
    from app.recorder.files import ID_FILE
    from app.store.database.pool import Pool
    from app.store.writing.accounts import accounts_of

    directory = JournalDirectory(settings.journal_dir)
    recorder_id = _recorder_id(directory, ID_FILE)
    pool = Pool(database_url(settings), size=1, application="verbatim journal verify")
    try:
        for left in reversed(range(TRIES)):
            # The journal first: what is let go after it was read is accounted when the database is asked.
            held = await asyncio.to_thread(read_held, directory)
            accounts = await accounts_of(pool, recorder_id) if recorder_id is not None else []
            found = balances(accounts, held)
            if not left or all(each.is_kept for each in found):
                return found
            await asyncio.sleep(PAUSE_SECONDS)
    except OSError as error:
        raise JournalError(f"{directory.path}: {error.strerror or error}") from error
    finally:
        await pool.close()
    raise AssertionError("the loop returns or raises")


def _recorder_id(directory: JournalDirectory, file: str) -> uuid.UUID | None:
    """The id of the recorder of this journal; None where there has been none."""
    try:
        fd = directory.disk.open(directory.path / file)
    except FileNotFoundError:
        return None
    try:
        return uuid.UUID(directory.disk.read(fd, 64, 0).decode("ascii").strip())
    except ValueError as error:
        raise JournalError(f"{directory.path / file} holds no id") from error
    finally:
        directory.disk.close(fd)


def _line(balance: Balance) -> str:
    boot, slot = balance.chain
    who = "retried" if balance.is_retried else f"{boot}-{slot}"
    terms = [f"{name} {count}" for name, count in balance.counts.items() if count]
    if balance.pending:
        terms.append(f"pending {balance.pending}")
    if balance.damaged_bytes:
        terms.append(f"({balance.damaged_bytes} bytes damaged)")
    state = "ok" if balance.is_kept else "DIFFERS"
    live = ", runs" if balance.is_live else ""
    return f"{state:<8}{who:<16}accepted {balance.accepted} = {' + '.join(terms) or '0'}{live}"


def _missing(balance: Balance) -> list[str]:
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in balance.missing]
    more = [f"and {len(shown) - MOST_RANGES} more ranges"] if len(shown) > MOST_RANGES else []
    lines = [f"        missing: {', '.join(shown[:MOST_RANGES] + more)}"] if shown else []
    told = sum(last - first + 1 for first, last in balance.missing)
    if balance.lost > told:
        lines.append(f"        {balance.lost - told} more are missing between the first and the last number")
    if balance.lost < told:
        lines.append(f"        {told - balance.lost} stand twice")
    return lines
