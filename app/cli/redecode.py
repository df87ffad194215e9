"""`verbatim redecode`."""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING

from app.cli.options import ConfigFile, read_settings
from app.cli.recost import DryRun, Since, Until, database_url, time_of
from app.clock import utc_now
from app.config import Settings

if TYPE_CHECKING:
    from app.recorder.redecode import Progress


def redecode(since: Since, until: Until = None, dry_run: DryRun = False, config: ConfigFile = None) -> None:
    """Read exchanges again from their kept bytes: messages, models, usage, conversations, facts.

    For an update of Verbatim that understands more. Sums are corrected along. It may run beside a recorder; where it is
    stopped, the same command goes on from there.
    """
    settings = read_settings(config)
    # With no end the next run could not know that it is the same.
    end = time_of("--until", until) if until else _next_midnight()
    done = asyncio.run(_redecode(settings, time_of("--since", since), end, dry_run=dry_run))
    for line in _report(done, dry_run=dry_run):
        print(line)


async def _redecode(
    settings: Settings, since: datetime.datetime, until: datetime.datetime, *, dry_run: bool
) -> Progress:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from app.recorder.price_file import own_prices
    from app.recorder.prices import Prices
    from app.recorder.redecode import Progress, Redecoder
    from app.store.database.pool import Pool
    from app.store.writing.redecoding import Redecoding

    pool = Pool(database_url(settings), size=2, application="verbatim redecode")
    redecoder = Redecoder(Redecoding(pool), Prices(own_prices(settings.prices)))
    done = Progress()
    try:
        with Bar(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("exchanges", total=(until - since).total_seconds())
            async for done in redecoder.run(since, until, dry_run=dry_run):
                progress.update(bar, completed=((done.until or since) - since).total_seconds())
    except asyncio.CancelledError:
        print("stopped; the same command goes on from here")
    finally:
        await pool.close()
    return done


def _next_midnight() -> datetime.datetime:
    tomorrow = utc_now().date() + datetime.timedelta(days=1)
    return datetime.datetime.combine(tomorrow, datetime.time(), datetime.UTC)


def _report(done: Progress, *, dry_run: bool) -> list[str]:
    would = "would change" if dry_run else "changed"
    lines = [f"looked at {done.looked_at} exchanges; {done.changed} {would}"]
    lines += [f"  {name}: {count}" for name, count in done.columns.most_common()]
    if done.left:
        lines.append(
            f"  {done.left} left as they are: their bodies are gone, or too large to be read at once"
        )
    return lines
