"""The words the stages share: an exchange, how it ends, and what its frames say.

An exchange is one client call and its answer. It begins once and ends in exactly one outcome:

    begun ──▶ sent ──▶ answered ──▶ completed
      │        │          │
      └────────┴──────────┴──▶ client_left | upstream_failed | upstream_timed_out | proxy_failed | proxy_stopped
      └──▶ refused                                (proxy_crashed: found by the recorder, never written by the proxy)

The structures below are payloads of journal frames, encoded as MessagePack arrays. They are part of the journal's
format: fields may be appended with a default, never reordered, renamed in meaning or removed.
"""

from __future__ import annotations

import enum

import msgspec

KeptHeaders = list[tuple[bytes, bytes]]
"""Header fields in order, duplicates and case kept; a value that is not on the allow-list is its fingerprint."""


class Outcome(enum.Enum):
    """How an exchange ended; a 4xx or 5xx answer that arrived whole is `completed`."""

    COMPLETED = "completed"
    CLIENT_LEFT = "client_left"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TIMED_OUT = "upstream_timed_out"
    REFUSED = "refused"
    PROXY_FAILED = "proxy_failed"
    PROXY_STOPPED = "proxy_stopped"
    PROXY_CRASHED = "proxy_crashed"


class LogMode(enum.Enum):
    """How much of an exchange is kept, from most to least."""

    FULL = "full"
    METADATA = "metadata"
    OFF = "off"

    def stricter(self, other: LogMode) -> LogMode:
        """The one of the two that keeps less."""
        if self is other:
            return self
        order = list(LogMode)
        return max(self, other, key=order.index)


class SliceKind(enum.IntEnum):
    """What a slice of a request's body holds, most lasting first; the numbers are part of what is stored."""

    REST = 0
    """All that is none of the others: names, punctuation, settings that may change with every call."""
    TOOLS = 1
    """Definitions of tools, schemas of answers."""
    PROMPT = 2
    """The system prompt: it may hold the time of day, and must not part a conversation from its beginning."""
    LARGE = 3
    """A picture, a recording or a file in base64."""
    TALK = 4
    """What was said, in order."""


Slice = tuple[SliceKind, int]
"""A slice of a body and where it ends, in bytes; it begins where the one before it ends."""


class FrameType(enum.IntEnum):
    """What a frame tells; readers skip types they do not know."""

    HEADER = 0
    BEGIN = 1
    REQUEST_CHUNK = 2
    RESPONSE_HEAD = 3
    RESPONSE_CHUNK = 4
    END = 5
    NOTE = 6
    SEAL = 7


CARRY_SLOT = 32_767
"""The slot in the names of segments that a recorder writes; workers' numbers are smaller."""
RETRY_BOOT = "f" * 8
"""The boot in the names of segments that came back from quarantine/ (recorder/set_aside.py), with CARRY_SLOT."""


class SegmentHeader(msgspec.Struct, array_like=True, frozen=True):
    """First frame of a segment; its salt takes part in the CRC of every later frame."""

    format_version: int
    segment_id: bytes
    salt: bytes
    boot: str
    slot: int
    counter: int
    hostname: str
    wall_ns: int
    monotonic_ns: int


class Begin(msgspec.Struct, array_like=True, frozen=True):
    """BEGIN: a request head was accepted. No credential is in it."""

    accept_number: int
    """Dense per (boot, slot), counted over recorded, off, refused and dropped exchanges alike."""
    boot: str
    slot: int
    wall_ns: int
    mode: str
    """`full` or `metadata` (LogMode); an exchange that is `off` never begins."""
    method: str
    target: bytes
    """Raw request target as kept: values of query fields that are not on the allow-list are fingerprints."""
    upstream: str
    authority: str
    """Base URL of the upstream without userinfo: `https://api.openai.com`."""
    http_version: str
    headers: KeptHeaders
    project: str
    user: str | None = None
    conversation: str | None = None
    tags: dict[str, str] = {}
    key: str | None = None
    """Fingerprint of the credential, 16 hexadecimal digits."""
    key_tail: str | None = None
    """Last four characters of a credential of 20 or more."""
    bodies_kept: bool = True
    """False on routes whose bodies carry secrets: their chunks never enter the journal."""


class AnswerHead(msgspec.Struct, array_like=True, frozen=True):
    """RESPONSE_HEAD: the final head of the answer, written before the client sees it."""

    status: int
    reason: bytes
    http_version: str
    headers: KeptHeaders


class End(msgspec.Struct, array_like=True, frozen=True):
    """END: the exchange is over; byte counts are of bodies with transfer framing taken off."""

    outcome: str
    reason: str | None
    """Detail of the outcome for programs, a fixed word: `refused`, `dns`, `max_inflight`, …"""
    detail: str | None
    """The same for people: one line of ours."""
    request_bytes: int
    response_bytes: int
    request_complete: bool
    """The client sent its whole request."""
    gap: bool = False
    """Frames of this exchange could not be written (disk full): what is kept of the bodies is not whole."""
    trailers: KeptHeaders = []


class Note(msgspec.Struct, array_like=True, frozen=True):
    """NOTE: something to be counted or known that is no part of the bytes."""

    kind: str
    """`skipped` (exchanges that were not recorded), `retried`."""
    detail: str = ""
    """For `skipped` the reason: `off`, `journal_full`, `journal_error`."""
    first_accept_number: int = -1
    last_accept_number: int = -1
