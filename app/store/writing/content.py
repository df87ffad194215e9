"""Writes what `LOG=full` keeps of a batch: the slices of its bodies and header lists, and a row that leads to them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from app.store.slices.batch import KnownNodes, PieceBatch
from app.store.slices.pieces import Coder
from app.store.statements import statements
from app.store.writing.record import Content, Record
from app.store.writing.rows import Placed, columns, uuid_of

if TYPE_CHECKING:
    from app.store.database.pool import Connection


class ContentWriter:
    """Writes content for one recorder, and remembers which slices it wrote lately."""

    def __init__(self) -> None:
        self._known = KnownNodes()
        self._coder = Coder()

    async def write(self, connection: Connection, placed: list[Placed]) -> int:
        """Inserts pieces and transcripts; gives how many bodies had to be kept whole though they could be cut.

        Their exchanges are inserted, and their weeks locked, by the same transaction.
        """
        pieces = PieceBatch(self._known, self._coder)
        rows = []
        for each in placed:
            if (content := each.record.content) is not None:
                rows.append(self._row(each, content, pieces))
        if rows:
            await pieces.write(connection)
            await connection.execute(statements("ingest")["insert_transcripts"], *columns(rows))
        return pieces.stored_whole

    def _row(self, placed: Placed, content: Content, pieces: PieceBatch) -> tuple[Any, ...]:
        """A row for insert_transcripts; its slices join the batch."""
        place = (placed.project_id, placed.week)
        request = pieces.add(place, content.request_body, content.request_cut)
        response = pieces.add(place, content.response_body)
        return (
            *(placed.project_id, uuid_of(placed.record.id), placed.week),
            pieces.add_headers(place, content.request_headers),
            pieces.add_headers(place, content.response_headers),
            pieces.add_headers(place, content.trailers or None),
            *(request.head, request.tip, request.tail, response.tip),
            self._coder.encode_chunk_times(content.chunk_times),
            *(content.request_preview, content.response_preview, content.facts, talk_tip(placed.record)),
        )


def talk_tip(record: Record) -> uuid.UUID | None:
    """The row of messages that ends with what an exchange said."""
    talk = record.talk
    return uuid_of(talk.tip) if talk is not None and talk.is_talk and talk.tip is not None else None
