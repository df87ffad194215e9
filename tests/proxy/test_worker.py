"""What a worker tells of itself."""

from __future__ import annotations

import os

from app.journal.reader import JournalDirectory
from app.journal.writer import JournalRules, JournalWriter
from app.proxy.pool import UpstreamPool
from app.proxy.worker import publisher
from app.telemetry.metrics import MetricsMap, Slot


async def test_the_journals_age_is_that_of_what_waits_longest_and_0_where_nothing_waits(tmp_path):
    writer = JournalWriter(tmp_path / "journal", 0, "test", JournalRules(min_free_bytes=0))
    writer.open()
    pool = UpstreamPool(tls=None)
    page = MetricsMap(1).page(0)
    publish = publisher(page, writer, pool, JournalDirectory(tmp_path / "journal"))
    try:
        publish()
        assert page.get(Slot.JOURNAL_OLDEST_AGE_MS) == 0
        log = writer.exchange(bytes(15) + b"1")
        log.stage(2, bytes(1000))
        log.flush()
        [segment] = (tmp_path / "journal").glob("*.seg")
        found = segment.stat()
        os.utime(segment, ns=(found.st_atime_ns, found.st_mtime_ns - 60_000_000_000))
        publish()
        assert 60_000 <= page.get(Slot.JOURNAL_OLDEST_AGE_MS) < 120_000
        assert page.get(Slot.JOURNAL_WRITTEN_BYTES) > 1000
    finally:
        await pool.aclose()
        writer.close()
