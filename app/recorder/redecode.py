"""Reads recorded exchanges again from their kept bytes, so that better decoders mend old records."""

from __future__ import annotations

import datetime
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from app.decode import Decoded, Request, Response, decode_exchange
from app.exchange import Outcome
from app.recorder.charges import charged_usage
from app.recorder.prices import PricedCall, Prices
from app.recorder.record import MAX_DECODED_BYTES, label
from app.recorder.talk import talk_of
from app.store.database.periods import lowest_id
from app.store.slices.bodies import StoredBody
from app.store.writing.counted import REPEATED
from app.store.writing.record import Record, Usage
from app.store.writing.redecoding import Kept, Redecoded, Redecoding

PAGE_ROWS = 64
DEFAULT_UPSTREAM = "v1"
_PRICED = ("cost", "price_version", "cost_status", "counted_object")


@dataclass(slots=True)
class Progress:
    """What a run has done so far."""

    looked_at: int = 0
    changed: int = 0
    left: int = 0
    """Left as they are: bodies that are gone, or that only the recorder reads, piece by piece."""
    columns: Counter[str] = field(default_factory=Counter)
    """By what changed, in how many exchanges."""
    until: datetime.datetime | None = None
    """All before was looked at."""


class Redecoder:
    """Decodes again; one body pair is in memory at a time."""

    def __init__(self, redecoding: Redecoding, prices: Prices) -> None:
        self._redecoding = redecoding
        self._prices = prices

    async def run(
        self, since: datetime.datetime, until: datetime.datetime, *, dry_run: bool = False
    ) -> AsyncGenerator[Progress, None]:
        """Works through exchanges begun from `since` to before `until`, oldest first, and tells how far it is.

        A run with the same bounds that was stopped goes on where it was. `dry_run` sets nothing, and notes nothing.
        """
        run = f"{since.isoformat()} {until.isoformat()}"
        end = lowest_id(until)
        after = uuid.UUID(int=max(0, lowest_id(since).int - 1))
        if not dry_run:
            after = await self._redecoding.position(run) or after
        done = Progress()
        while page := await self._redecoding.page(after, end, PAGE_ROWS):
            after = uuid.UUID(bytes=page[-1].record.id)
            await self._run_page(page, done, dry_run=dry_run)
            if not dry_run:
                await self._redecoding.set_position(run, after)
            done.until = page[-1].record.started_at
            yield done
        if not dry_run:
            await self._redecoding.set_position(run, None)
        yield done

    async def _run_page(self, page: list[Kept], done: Progress, *, dry_run: bool) -> None:
        changed = []
        for kept in page:
            done.looked_at += 1
            again = await self._again(kept)
            if again is None:
                done.left += 1
            elif names := again.changes():
                changed.append(again)
                done.columns.update(names)
        done.changed += len(changed) if dry_run else await self._redecoding.set(changed)

    async def _again(self, kept: Kept) -> Redecoded | None:
        """The exchange as it is read now; None where its bodies are not to be had, or too large."""
        read = await read_again(self._redecoding, kept)
        if read is None:
            return None
        decoded, is_whole = read
        record = replace(
            kept.record,
            stream=decoded.stream,
            route=decoded.route,
            # Bytes that are missing stay missing, however well the rest is read.
            capture_status=decoded.capture_status if is_whole else kept.record.capture_status,
            model=label(decoded.model_asked),
            model_served=label(decoded.model_served),
            upstream_id=label(decoded.upstream_id),
            finish_reason=label(decoded.finish_reason),
            service_tier=label(decoded.service_tier),
            error_type=label(decoded.error_type),
            error_code=label(decoded.error_code),
            user=kept.record.user or label(decoded.user),
            usage=self._usage(kept.record, decoded),
            talk=talk_of(decoded),
        )
        return Redecoded(kept, record, decoded.request_preview, decoded.response_preview, decoded.facts)

    def _usage(self, record: Record, decoded: Decoded) -> Usage:
        """The usage as it is read now; a cost is worked out again only where the usage changed."""
        if record.usage.cost_status == REPEATED:
            return record.usage
        call = PricedCall(
            url=record.authority + _path(record).decode("utf-8", "replace"),
            route=decoded.route,
            model_asked=decoded.model_asked,
            model_served=decoded.model_served,
            service_tier=decoded.service_tier,
            started_at=record.started_at,
        )
        new = charged_usage(decoded, call, self._prices)
        old = replace(record.usage, verbatim=new.verbatim, counted_object=new.counted_object)
        same = replace(new, **{name: getattr(old, name) for name in _PRICED})
        return same if same == old else new


async def read_again(redecoding: Redecoding, kept: Kept) -> tuple[Decoded, bool] | None:
    """What an exchange's kept bytes mean, and whether they are whole; None where they are gone, or too large."""
    request, response = await redecoding.bodies(kept)
    if request is None or any(
        body is not None and body.length_bytes > MAX_DECODED_BYTES for body in (request, response)
    ):
        return None
    asked, told = await _whole(request), await _whole(response)
    extensions = None
    if kept.record.status == 101:
        extensions = await redecoding.response_header(kept, b"sec-websocket-extensions")
    decoded = decode_exchange(_request(kept.record, asked), _response(kept.record, told, extensions))
    is_whole = len(asked) == kept.record.request_bytes and len(told) == kept.record.response_bytes
    return decoded, is_whole


async def _whole(body: StoredBody | None) -> bytes:
    return b"".join([piece async for piece in body.chunks]) if body is not None else b""


def _path(record: Record) -> bytes:
    """The path that the upstream saw."""
    path = record.path.encode("utf-8", "replace")
    return path if record.upstream == DEFAULT_UPSTREAM else path.removeprefix(b"/" + record.upstream.encode())


def _request(record: Record, body: bytes) -> Request:
    return Request(
        method=record.method,
        path=_path(record),
        query=record.query.encode("utf-8", "replace"),
        content_type=record.request_content_type,
        content_encoding=record.request_content_encoding,
        body=body,
    )


def _response(record: Record, body: bytes, extensions: str | None) -> Response:
    if record.status is None:
        return Response(complete=False)
    return Response(
        status=record.status,
        content_type=record.response_content_type,
        content_encoding=record.response_content_encoding,
        body=body,
        complete=record.outcome == Outcome.COMPLETED.value,
        extensions=extensions,
    )
