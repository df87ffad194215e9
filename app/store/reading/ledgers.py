"""The conservation law as the store can tell it: what became of the exchanges that were accepted."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from app.clock import monotonic_ns
from app.exchange import CARRY_SLOT, RETRY_BOOT
from app.store.database.pool import Pool
from app.store.statements import statements

FATES = ("recorded", "off", "quarantined", "expired", "erased", "dropped")
KEPT_NS = 10_000_000_000
"""All accounts are summed up: not with every scrape of several."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """One recorder's accounts of the segments that it let go.

    Writers' numbers are dense from 0. What was carried stands again in the accounts of the slot it was carried to,
    and what was tried again in its writer's.
    """

    recorder_id: uuid.UUID
    host: str
    numbered: int
    """How many numbers writers had given to accepted exchanges, by the last segment that each of them let go."""
    counts: dict[str, int]
    """By fate."""

    @property
    def unaccounted(self) -> int:
        """Of the numbered ones, those that wait in the journal, or are lost; below 0 where some stand twice."""
        return self.numbered - sum(self.counts.values())


class LedgerReader:
    """Reads them, and keeps what it read for ten seconds."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._kept: list[Ledger] = []
        self._kept_until_ns = 0

    async def read(self) -> list[Ledger]:
        """Of all recorders that let a segment go. Raises StoreError."""
        if monotonic_ns() >= self._kept_until_ns:
            async with self._pool.transaction(readonly=True) as connection:
                rows = await connection.fetch(statements("accounts")["ledgers"], CARRY_SLOT, RETRY_BOOT)
            self._kept = [
                Ledger(row["recorder_id"], row["host"], row["numbered"], {fate: row[fate] for fate in FATES})
                for row in rows
            ]
            self._kept_until_ns = monotonic_ns() + KEPT_NS
        return self._kept
