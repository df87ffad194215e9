"""WebSocket frames (RFC 6455) of one direction in pieces: whole messages out, permessage-deflate (RFC 7692) undone.

Bounded: a message longer than MAX_MESSAGE_BYTES is passed over and counted, and so is what inflates beyond
MAX_INFLATED_BYTES in all. Nothing raises: after a fault that loses the place in the bytes the reader is `broken`.
"""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass

MAX_MESSAGE_BYTES = 16 << 20
MAX_INFLATED_BYTES = 256 << 20
"""What one direction may inflate to, and eight times its own bytes beyond that: a session may last for an hour."""
MAX_FRAGMENTS = 1 << 20
MAX_FINAL_BLOCKS = 16
"""Of one message; each means a new inflater."""
_TAIL = b"\x00\x00\xff\xff"
_INFLATE_STEP_BYTES = 1 << 20


class Opcode(enum.IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


@dataclass(frozen=True, slots=True)
class Extensions:
    """What both sides agreed on for one direction."""

    is_deflated: bool = False
    keeps_context: bool = True
    """A message may refer to the one before it."""
    window_bits: int = 15
    is_known: bool = True
    """False where an extension was agreed on that is not known here."""


@dataclass(frozen=True, slots=True)
class SocketMessage:
    """A whole message."""

    is_text: bool
    data: bytes
    end: int
    """Offset behind its last byte, in the bytes of its direction."""


@dataclass(frozen=True, slots=True)
class Close:
    """The end of a direction, as it was said."""

    code: int | None
    """1005 is never sent; None is a close without a code."""
    reason: str
    end: int


@dataclass(slots=True)
class _Message:
    """A message while its fragments come."""

    opcode: Opcode
    is_deflated: bool
    pieces: list[bytes]
    size: int = 0
    is_dropped: bool = False


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of a frame."""

    size: int
    """Of the head itself, in bytes."""
    is_final: bool
    is_deflated: bool
    is_odd: bool
    """Bits or an opcode that nobody agreed on."""
    opcode: int
    mask: bytes
    length: int


class FrameReader:
    """Bytes of one direction in, messages out."""

    __slots__ = ("_buffer", "_extensions", "_head", "_inflater", "_message", "_offset", "_skip", "broken", "close",
                 "dropped", "pings")  # fmt: skip

    def __init__(self, extensions: Extensions) -> None:
        self.dropped = 0
        """Messages that were too long, or could not be inflated, or make no sense."""
        self.pings = 0
        """Pings and pongs."""
        self.broken: str | None = None if extensions.is_known else "unknown extension"
        """Why the bytes from here on are not read."""
        self.close: Close | None = None
        self._extensions = extensions
        self._inflater = Inflater(extensions) if extensions.is_deflated else None
        self._buffer = bytearray()
        self._offset = 0
        self._head: _Head | None = None
        self._skip = 0
        self._message: _Message | None = None

    def __repr__(self) -> str:
        return f"<FrameReader offset={self._offset} buffered={len(self._buffer)} dropped={self.dropped}>"

    @property
    def is_between_messages(self) -> bool:
        """Whether all bytes so far are whole messages."""
        return not self._buffer and self._head is None and self._message is None and not self.broken

    def feed(self, piece: bytes) -> list[SocketMessage]:
        """The messages that this piece completes; after a close, or where the reader is broken, none."""
        messages: list[SocketMessage] = []
        if self.broken or self.close is not None:
            return messages
        self._buffer += piece
        if self._head is not None and not self._skip and len(self._buffer) < self._head.length:
            return messages
        view = memoryview(bytes(self._buffer))
        used = 0
        while (step := self._step(view[used:], messages)) is not None:
            used += step
        del self._buffer[:used]
        if self.broken or self.close is not None:
            self._buffer.clear()
        return messages

    def _step(self, data: memoryview, messages: list[SocketMessage]) -> int | None:
        """How many bytes one move took; None where it needs more, or there is no more to read."""
        if self.broken or self.close is not None:
            return None
        if self._head is None:
            return self._read_head(data)
        head = self._head
        if self._skip:
            taken = min(self._skip, len(data))
            self._skip -= taken
            self._offset += taken
            if not self._skip:
                self._end_frame(head, b"", messages)
            return taken or None
        if len(data) < head.length:
            return None
        self._offset += head.length
        self._end_frame(head, unmask(bytes(data[: head.length]), head.mask), messages)
        return head.length

    def _read_head(self, data: memoryview) -> int | None:
        head = _read_head(data)
        if head is None:
            return None
        if head.length >> 63 or (head.opcode >= 8 and (head.length > 125 or not head.is_final)):
            self.broken = "frame"
            return None
        self._head = head
        self._offset += head.size
        held = self._message.size if self._message is not None else 0
        if head.opcode < 8 and held + head.length > MAX_MESSAGE_BYTES:
            self._skip = head.length
        return head.size

    def _end_frame(self, head: _Head, payload: bytes, messages: list[SocketMessage]) -> None:
        is_skipped = len(payload) < head.length
        self._head = None
        if head.opcode == Opcode.CLOSE:
            self.close = _read_close(payload, self._offset)
        elif head.opcode in (Opcode.PING, Opcode.PONG):
            self.pings += 1
        elif head.opcode > Opcode.BINARY:
            self.dropped += 1
        else:
            self._take_fragment(head, payload, is_skipped)
            if head.is_final:
                self._end_message(messages)

    def _take_fragment(self, head: _Head, payload: bytes, is_skipped: bool) -> None:
        if head.opcode != Opcode.CONTINUATION or self._message is None:
            if self._message is not None:
                # The one before never ended.
                self.dropped += 1
            is_lost = head.opcode == Opcode.CONTINUATION
            opcode = Opcode.BINARY if is_lost else Opcode(head.opcode)
            self._message = _Message(opcode, head.is_deflated, [], is_dropped=is_lost)
        message = self._message
        message.is_dropped = (
            message.is_dropped or is_skipped or head.is_odd or len(message.pieces) >= MAX_FRAGMENTS
        )
        if message.is_dropped and not message.is_deflated:
            message.pieces.clear()
            return
        if is_skipped and message.is_deflated and self._extensions.keeps_context:
            self.broken = "message too long"
        message.pieces.append(payload)
        message.size += len(payload)

    def _end_message(self, messages: list[SocketMessage]) -> None:
        message, self._message = self._message, None
        if message is None:
            return
        data: bytes | None = b"".join(message.pieces)
        if message.is_deflated and data is not None:
            data = self._inflater.inflate(data) if self._inflater is not None else None
            if self._inflater is not None and self._inflater.is_lost:
                self.broken = self.broken or "deflate"
        if data is None or message.is_dropped:
            self.dropped += 1
            return
        messages.append(SocketMessage(message.opcode == Opcode.TEXT, data, self._offset))


class Inflater:
    """Undoes permessage-deflate, one message after the other."""

    __slots__ = ("_extensions", "_fed", "_inflater", "_made", "is_lost")

    def __init__(self, extensions: Extensions) -> None:
        self.is_lost = False
        """The context is lost: nothing that follows can be read."""
        self._extensions = extensions
        self._inflater = zlib.decompressobj(-extensions.window_bits)
        self._made = 0
        self._fed = 0

    def __repr__(self) -> str:
        return f"<Inflater made={self._made} lost={self.is_lost}>"

    def inflate(self, data: bytes) -> bytes | None:
        """The message; None where it is damaged or too long."""
        if self.is_lost:
            return None
        if not self._extensions.keeps_context:
            self._inflater = zlib.decompressobj(-self._extensions.window_bits)
        self._fed += len(data) + len(_TAIL)
        made = self._inflate_bounded(data + _TAIL)
        if made is None and self._extensions.keeps_context:
            self.is_lost = True
        return made

    def _inflate_bounded(self, data: bytes) -> bytes | None:
        pieces: list[bytes] = []
        size = final_blocks = 0
        while data:
            try:
                piece = self._inflater.decompress(data, _INFLATE_STEP_BYTES)
            except zlib.error:
                return None
            size += len(piece)
            self._made += len(piece)
            if size > MAX_MESSAGE_BYTES or self._made > MAX_INFLATED_BYTES + 8 * self._fed:
                self.is_lost = True
                return None
            pieces.append(piece)
            data = self._inflater.unconsumed_tail
            if self._inflater.eof:
                # A last block within a message: what follows begins anew.
                data = self._inflater.unused_data
                final_blocks += 1
                self._inflater = zlib.decompressobj(-self._extensions.window_bits)
                if data in (b"", _TAIL, b"\x00" + _TAIL):
                    break
                if final_blocks == MAX_FINAL_BLOCKS:
                    return None
        return b"".join(pieces)


def read_extensions(header: str | None, is_client: bool) -> Extensions:
    """What `Sec-WebSocket-Extensions` of the answer says about what the client sends, or the server."""
    offers = [offer.strip() for offer in (header or "")[:4096].split(",") if offer.strip()]
    found = Extensions()
    for offer in offers:
        name, *parameters = [part.strip().lower() for part in offer.split(";")]
        if name not in ("permessage-deflate", "x-webkit-deflate-frame") or found.is_deflated:
            return Extensions(is_known=False)
        values = dict(part.partition("=")[::2] for part in parameters)
        side = "client" if is_client else "server"
        bits = values.get(f"{side}_max_window_bits", "").strip().strip('"')
        window_bits = int(bits) if bits.isascii() and bits.isdecimal() and len(bits) < 3 else 15
        found = Extensions(
            is_deflated=True,
            keeps_context=f"{side}_no_context_takeover" not in {name.strip() for name in values},
            # zlib inflates 2^8 with 2^9; a larger window reads what a smaller one wrote.
            window_bits=min(15, max(9, window_bits)),
        )
    return found


def unmask(payload: bytes, mask: bytes) -> bytes:
    """The payload as it was before it was masked; as it is where there is no mask."""
    if not mask or not payload:
        return payload
    size = len(payload)
    keys = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(keys, "little")).to_bytes(size, "little")


def _read_head(data: memoryview) -> _Head | None:
    """The head of a frame; None where there is not all of it yet."""
    if len(data) < 2:
        return None
    first, second = data[0], data[1]
    length, size = second & 0x7F, 2
    if length >= 126:
        extra = 2 if length == 126 else 8
        if len(data) < size + extra:
            return None
        length, size = int.from_bytes(data[size : size + extra], "big"), size + extra
    mask = b""
    if second & 0x80:
        if len(data) < size + 4:
            return None
        mask, size = bytes(data[size : size + 4]), size + 4
    opcode = first & 0x0F
    return _Head(
        size=size,
        is_final=bool(first & 0x80),
        is_deflated=bool(first & 0x40) and opcode in (Opcode.TEXT, Opcode.BINARY),
        is_odd=bool(first & 0x30),
        opcode=opcode,
        mask=mask,
        length=length,
    )


def _read_close(payload: bytes, end: int) -> Close:
    code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None
    return Close(code, payload[2:].decode("utf-8", "replace"), end)
