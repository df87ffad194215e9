"""WebSocket frames as clients and servers write them."""

from __future__ import annotations

import json
import zlib


def frame(data: bytes, opcode: int = 1, *, final: bool = True, mask: bytes = b"", rsv: int = 0) -> bytes:
    """One frame; with a mask it is a client's."""
    head = bytes([(0x80 if final else 0) | rsv << 4 | opcode])
    size = len(data)
    second = 0x80 if mask else 0
    if size < 126:
        head += bytes([second | size])
    elif size < 65_536:
        head += bytes([second | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([second | 127]) + size.to_bytes(8, "big")
    if mask:
        data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
    return head + mask + data


class Deflater:
    """The sending side of permessage-deflate."""

    def __init__(self, *, keeps_context: bool = True, window_bits: int = 15) -> None:
        self._keeps_context = keeps_context
        self._window_bits = window_bits
        self._deflater = zlib.compressobj(wbits=-window_bits)

    def deflate(self, data: bytes) -> bytes:
        if not self._keeps_context:
            self._deflater = zlib.compressobj(wbits=-self._window_bits)
        return (self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(
            b"\x00\x00\xff\xff"
        )


def socket_bytes(events: list[dict], *, is_client: bool, deflater: Deflater | None = None) -> bytes:
    """Events as one direction of a session, with a close at the end."""
    mask = b"\x0b\xad\xf0\x0d" if is_client else b""
    frames = []
    for event in events:
        data = json.dumps(event).encode()
        if deflater is None:
            frames.append(frame(data, mask=mask))
        else:
            frames.append(frame(deflater.deflate(data), mask=mask, rsv=4))
    return b"".join(frames) + frame(b"\x03\xe8bye", 8, mask=mask)
