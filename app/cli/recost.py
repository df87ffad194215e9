"""`verbatim recost`."""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import ConfigFile, read_settings
from app.clock import utc_now
from app.config import Settings
from app.errors import ConfigError

if TYPE_CHECKING:
    from app.recorder.recost import Recosted

MOST_LINES = 20

Since = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="Exchanges begun at this time or later: 2026-11-01 or 2026-11-01T12:00:00Z."
    ),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Exchanges begun before this time.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]


def recost(since: Since, until: Until = None, dry_run: DryRun = False, config: ConfigFile = None) -> None:
    """Work out costs again, from the usage that was kept and the prices of today.

    For new prices in VERBATIM_PRICES, and after an update of Verbatim that brings new ones. Sums are corrected along.
    It may be stopped and begun again at any time, and run beside a recorder.
    """
    settings = read_settings(config)
    end = time_of("--until", until) if until else utc_now()
    done = asyncio.run(_recost(settings, time_of("--since", since), end, dry_run=dry_run))
    for line in _report(done, dry_run=dry_run):
        print(line)


async def _recost(
    settings: Settings, since: datetime.datetime, until: datetime.datetime, *, dry_run: bool
) -> Recosted:
    from rich.console import Console
    from rich.progress import Progress

    from app.recorder.price_file import own_prices
    from app.recorder.prices import Prices
    from app.recorder.recost import Recosted, recost
    from app.store.database.pool import Pool
    from app.store.writing.costs import Costs

    prices = Prices(own_prices(settings.prices))
    pool = Pool(database_url(settings), size=2, application="verbatim recost")
    done = Recosted()
    try:
        costs = Costs(pool)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("costs", total=(until - since).total_seconds())
            async for done in recost(costs, prices, since, until, dry_run=dry_run):
                progress.update(bar, completed=((done.until or since) - since).total_seconds())
    except asyncio.CancelledError:
        if done.until is not None:
            print(f"stopped; --since {done.until.isoformat()} goes on from here")
    finally:
        await pool.close()
    return done


def database_url(settings: Settings) -> str:
    """Of the database that is set, or of the one that Verbatim brings along."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    from app.store.database.cluster import find_cluster

    return find_cluster(settings.data_dir).url


def _report(done: Recosted, *, dry_run: bool) -> list[str]:
    would = "would change" if dry_run else "changed"
    have = "would have" if dry_run else "have"
    lines = [
        f"looked at {done.looked_at} exchanges; {done.changed} {would}",
        f"  {done.gained} had no cost and {have} one now; {done.lost} the other way round",
        f"  dollars   {done.before:f} before, {done.after:f} after ({done.after - done.before:+f})",
    ]
    tallies = sorted(done.models.items(), key=lambda item: -abs(item[1].after - item[1].before))
    for model, tally in tallies[:MOST_LINES]:
        lines.append(
            f"  {model or '(no model)'}: {tally.exchanges} exchanges, {tally.before:f} to {tally.after:f}"
        )
    if len(tallies) > MOST_LINES:
        lines.append(f"  and {len(tallies) - MOST_LINES} more models")
    return lines


def time_of(option: str, text: str) -> datetime.datetime:
    """The time that an option gives; UTC where it names no zone."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} {text}: takes a time such as 2026-11-01 or 2026-11-01T12:00:00Z"
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=datetime.UTC)
