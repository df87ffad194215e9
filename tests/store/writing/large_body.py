"""A process that delivers a large body and reads it back; prints by how much its memory grew, in MiB."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from app.store.database.pool import Pool
from app.store.reading.query import Query
from app.store.writing.ingest import Ingest
from app.store.writing.record import SLICE_BYTES
from tests.store.samples import content, record


class MadeBody:
    """Slices made when they are asked for, which do not compress."""

    def __init__(self, slices: int) -> None:
        self._slices = slices

    @property
    def length_bytes(self) -> int:
        return self._slices * SLICE_BYTES

    @property
    def sha256(self) -> bytes:
        digest = hashlib.sha256()
        for each in self.slices():
            digest.update(each)
        return digest.digest()

    def slices(self) -> Iterator[bytes]:
        for number in range(self._slices):
            yield hashlib.shake_128(b"%d" % number).digest(SLICE_BYTES)


def peak_mib() -> int:
    """The highest resident size since this program began."""
    [line] = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


async def main(url: str, mebibytes: int) -> None:
    pool = Pool(url)
    await Ingest(pool, uuid.UUID(int=1)).deliver([record()])
    before = peak_mib()
    body = MadeBody((mebibytes << 20) // SLICE_BYTES)
    made = record(
        content=dataclasses.replace(content(b"", b""), request_body=body),
        request_sha256=body.sha256,
        request_bytes=body.length_bytes,
    )
    await Ingest(pool, uuid.UUID(int=1)).deliver([made])
    stored = await Query(pool).request_body(uuid.UUID(bytes=made.id))
    assert stored is not None and stored.length_bytes == body.length_bytes
    digest = hashlib.sha256()
    async for chunk in stored.chunks:
        digest.update(chunk)
    assert digest.digest() == body.sha256
    await pool.close()
    print(peak_mib() - before)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
