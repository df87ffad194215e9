"""`verbatim search rebuild`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.options import read_settings
from app.cli.recost import database_url

if TYPE_CHECKING:
    from app.recorder.researching import Added


REBUILD = "rebuild"


def or_rebuild(search: Callable[..., None]) -> Callable[..., None]:
    """The verb `search`, which does not look for the one word `rebuild` but makes the search anew."""

    @functools.wraps(search)
    def verb(**values: Any) -> None:
        if values["words"] == REBUILD:
            rebuild_search(values["config"])
        else:
            search(**values)

    return verb


def rebuild_search(config: Path | None) -> None:
    """Makes everything searchable that is kept, and every signature anew. It may run beside a recorder."""
    added, groups = asyncio.run(_rebuild(database_url(read_settings(config))))
    print(f"looked at {added.looked_at} exchanges; {added.added} were not searched and are now")
    if added.left:
        print(f"  {added.left} left as they are: their bodies are gone, or too large to be read at once")
    print(f"{groups} groups of segments have new signatures")


async def _rebuild(url: str) -> tuple[Added, int]:
    from rich.console import Console
    from rich.progress import Progress

    from app.recorder.researching import Added, make_searchable
    from app.store.database.pool import Pool
    from app.store.search.building import Builder

    pool = Pool(url, size=2, application="verbatim search rebuild")
    added, groups = Added(), 0
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            texts = progress.add_task("texts", total=None)
            async for added in make_searchable(pool):
                progress.update(texts, completed=added.looked_at)
            progress.update(texts, total=added.looked_at)
            signatures = progress.add_task("signatures", total=None)
            async for done in Builder(pool).rebuild():
                groups = done.groups
                progress.update(signatures, total=done.groups, completed=done.done)
    except asyncio.CancelledError:
        print("stopped; the same command does the rest")
    finally:
        await pool.close()
    return added, groups
