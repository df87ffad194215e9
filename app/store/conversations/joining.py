"""Which conversation an exchange belongs to, and which exchange it continues; pure.

An exchange continues another if its request holds that one's answer after the same user's message, or names it. One
that was given after the same talk goes before one that was given after other talk (which was compacted since, or cut);
then the longest match wins, then the same key and user, then one that nothing has continued yet, then the latest. A
repeat of a request joins the first try. Nothing else joins: neither a shared system prompt nor a shared first message.

A client's own name for a conversation is believed: what has another name is another conversation, even where it goes
on from an answer of the first.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from app.clock import id_milliseconds
from app.frozen import value
from app.store.writing.record import Record, Talk
from app.store.writing.rows import Join, Placed, uuid_of

LOOK_BACK_MILLISECONDS = 92 * 86_400_000
REPEAT_MILLISECONDS = 600_000
RETRY_MILLISECONDS = 3 * 3_600_000
"""For what a client says is a retry: its first try may have taken its whole time limit."""
HALF_KEY_BYTES = 8
"""Of a link key, the half that is the same whatever talk came before."""
CLIENT, PROVIDER = "client", "provider"
"""Who gave a conversation its name."""

_LOWEST = bytes(10)

Name = tuple[int, str, str]
"""Project, who gave it, the name."""
Key = tuple[int, bytes]
"""Project and link key."""


@value
class Candidate:
    """An exchange that another may continue."""

    id: uuid.UUID
    started_at: datetime.datetime
    conversation_id: uuid.UUID
    parent_id: uuid.UUID | None
    key: str | None
    user: str | None

    def is_before(self, record: Record) -> bool:
        """Whether it began before; ids of one millisecond are in no order."""
        return (self.started_at, self.id) < (record.started_at, uuid_of(record.id))


@dataclass(slots=True)
class Found:
    """What the store knows of the exchanges that a batch may continue; grows as the batch is joined."""

    answers: dict[Key, dict[uuid.UUID, Candidate]] = field(default_factory=dict)
    """By link key of the answer, and by the first half of it."""
    responses: dict[tuple[int, str], Candidate] = field(default_factory=dict)
    """By the upstream's id of the answer."""
    requests: dict[tuple[int, bytes, str | None], Candidate] = field(default_factory=dict)
    """By SHA-256 of the request and by key; the latest."""
    names: dict[Name, uuid.UUID] = field(default_factory=dict)
    lasts: dict[tuple[int, uuid.UUID], uuid.UUID] = field(default_factory=dict)
    """The latest exchange of each conversation."""
    named: dict[tuple[int, uuid.UUID], str] = field(default_factory=dict)
    """What clients call conversations."""

    def add_answer(self, key: Key, candidate: Candidate) -> None:
        """What is there already stands: the store knows better than the batch."""
        self.answers.setdefault(key, {}).setdefault(candidate.id, candidate)


def response_key(upstream_id: str) -> bytes:
    """How an answer's id stands among link keys; it is never as long as one of them."""
    return b"id:" + upstream_id.encode("utf-8", "replace").ljust(16)


def names_of(placed: Placed) -> list[Name]:
    """What client and provider call an exchange's conversation."""
    record = placed.record
    names = [(CLIENT, record.conversation), (PROVIDER, record.talk.conversation if record.talk else None)]
    return [(placed.project_id, source, name) for source, name in names if name]


def repeat_milliseconds(record: Record) -> int:
    """How long after its first try an exchange may be a repeat of it."""
    return RETRY_MILLISECONDS if record.retry_count else REPEAT_MILLISECONDS


def is_repeatable(record: Record) -> bool:
    """Whether a request can be told from others by its bytes."""
    talk = record.talk
    return (
        talk is not None and talk.is_talk and record.request_sha256 is not None and record.request_bytes > 0
    )


def earlier(exchange_id: bytes, milliseconds: int) -> uuid.UUID:
    """The lowest id of an exchange that began so much earlier."""
    return uuid_of(max(0, id_milliseconds(exchange_id) - milliseconds).to_bytes(6) + _LOWEST)


def span(record: Record, milliseconds: int) -> tuple[uuid.UUID, uuid.UUID, datetime.datetime, uuid.UUID]:
    """What began so much earlier at most: from id, before id, before time, own id."""
    return (
        earlier(record.id, milliseconds),
        earlier(record.id, -1),
        record.started_at,
        uuid_of(record.id),
    )


def join(placed: Iterable[Placed], found: Found) -> Iterator[Placed]:
    """Exchanges with their places in conversations, in the order in which they began."""
    for each in sorted(placed, key=lambda one: (one.project_id, one.record.started_at, one.record.id)):
        yield Placed(each.record, each.project_id, _join_one(each, found))


def _join_one(placed: Placed, found: Found) -> Join:
    record, project = placed.record, placed.project_id
    own_id = uuid_of(record.id)
    names = names_of(placed)
    continued, joined_by, wanted = _predecessor(placed, own_id, found)
    parent = continued.id if continued is not None else None
    if continued is not None and joined_by == "repeat":
        parent = continued.parent_id
    conversation = next((found.names[name] for name in names if name in found.names), None)
    if conversation is not None:
        if continued is None or continued.conversation_id != conversation:
            parent, joined_by = found.lasts.get((project, conversation)), "name"
    elif continued is not None and not _has_other_name(
        record, found.named.get((project, continued.conversation_id))
    ):
        conversation = continued.conversation_id
    elif names or (record.talk is not None and record.talk.is_talk):
        conversation = own_id
    joined = Join(conversation, parent, joined_by if parent or joined_by == "repeat" else None, wanted)
    if conversation is not None:
        _take(placed, own_id, conversation, parent, found)
    return joined


def _predecessor(
    placed: Placed, own_id: uuid.UUID, found: Found
) -> tuple[Candidate | None, str | None, bytes | None]:
    """The exchange that one continues or repeats, by what, and the link key that was looked for in vain."""
    record, project, talk = placed.record, placed.project_id, placed.record.talk
    if talk is None:
        return None, None, None
    if is_repeatable(record):
        again = found.requests.get((project, record.request_sha256 or b"", record.key))
        since = earlier(record.id, repeat_milliseconds(record))
        if again is not None and since <= again.id and again.is_before(record):
            return again, "repeat", None
    if talk.response is not None:
        named = found.responses.get((project, talk.response))
        if named is not None and named.is_before(record):
            return named, "response", None
    wanted = response_key(talk.response) if talk.response is not None and talk.is_talk else None
    for position, key in enumerate(_held_keys(talk)):
        candidates = [
            each for each in found.answers.get((project, key), {}).values() if each.is_before(record)
        ]
        if candidates:
            best = max(candidates, key=lambda each: _rank(each, record, project, found))
            return best, "answer", wanted or (talk.held[0].link_key if position else None)
    return None, None, wanted or (talk.held[0].link_key if talk.held else None)


def _held_keys(talk: Talk) -> Iterator[bytes]:
    """Keys of the answers that a request holds, the best match first."""
    yield from (held.link_key for held in talk.held)
    yield from (held.link_key[:HALF_KEY_BYTES] for held in talk.held)


def _rank(candidate: Candidate, record: Record, project: int, found: Found) -> tuple[bool, bool, uuid.UUID]:
    return (
        (candidate.key, candidate.user) == (record.key, record.user),
        found.lasts.get((project, candidate.conversation_id)) == candidate.id,
        candidate.id,
    )


def _has_other_name(record: Record, name: str | None) -> bool:
    return record.conversation is not None and name is not None and name != record.conversation


def _take(
    placed: Placed, own_id: uuid.UUID, conversation: uuid.UUID, parent: uuid.UUID | None, found: Found
) -> None:
    """From now on the others of the batch may continue this one."""
    record, project = placed.record, placed.project_id
    me = Candidate(own_id, record.started_at, conversation, parent, record.key, record.user)
    talk = record.talk or Talk()
    for key in talk.answer_keys:
        found.add_answer((project, key), me)
        found.add_answer((project, key[:HALF_KEY_BYTES]), me)
    if record.upstream_id is not None:
        found.responses.setdefault((project, record.upstream_id), me)
    if is_repeatable(record):
        found.requests[project, record.request_sha256 or b"", record.key] = me
    for name in names_of(placed):
        found.names.setdefault(name, conversation)
    if record.conversation is not None:
        found.named.setdefault((project, conversation), record.conversation)
    last = found.lasts.get((project, conversation))
    if last is None or id_milliseconds(last.bytes) <= id_milliseconds(record.id):
        found.lasts[project, conversation] = own_id
