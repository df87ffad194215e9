"""`/api/storage` over HTTP."""

from __future__ import annotations

from app.api.schemas.storage import StorageAnswer
from app.clock import wall_ns
from tests.api.conftest import Console
from tests.store.samples import talk


async def test_sizes_have_every_field_that_the_wire_promises(console: Console) -> None:
    await console.ingest.deliver([talk(b"1", b"2", at_ns=wall_ns())])
    answer = (await console.get("/api/storage")).json()
    assert StorageAnswer.model_validate(answer, extra="forbid").model_dump(by_alias=True) == answer
    assert answer["total_bytes"] == sum(answer["bytes"].values()) > 0
    assert answer["growth_bytes_per_day"] > 0
    assert answer["limit_bytes"] is answer["limit_reached_at"] is None
