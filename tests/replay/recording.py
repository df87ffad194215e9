"""One recorded pair as bytes: what a client sends and what an upstream answers."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import brotli
import zstandard

Fields = list[tuple[bytes, bytes]]
FIRST_FINAL_STATUS = 200
_FRAMING = (b"content-length", b"transfer-encoding", b"connection", b"host", b"keep-alive", b"expect")
_URL_SAFE = "%/:?=&+,;@!$'()*~[]-._|{}^`<>\""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_ENCODERS = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "deflate": zlib.compress,
}


@dataclass(frozen=True, slots=True)
class Recording:
    """A pair; bodies are as on the wire, their content coding applied."""

    index: int
    method: bytes
    target: bytes
    request_fields: Fields
    """Without framing and hop-by-hop fields."""
    request_body: bytes | None
    status: int
    response_fields: Fields
    response_body: bytes
    is_chunked: bool

    @property
    def has_answer_body(self) -> bool:
        """False where HTTP allows none."""
        return self.method != b"HEAD" and self.status not in (204, 304) and self.status >= 200


def read_recordings(file: Path) -> list[Recording]:
    """All pairs of a file, in order, but for upgrades: what follows them is no HTTP."""
    with file.open(encoding="utf-8") as lines:
        pairs = [(index, json.loads(line)) for index, line in enumerate(lines) if line.strip()]
    return [_recording(index, pair) for index, pair in pairs if pair["status"] >= FIRST_FINAL_STATUS]


def read_pair(pair: dict) -> tuple[bytes, bytes]:
    """Both bodies of one pair as they were on the wire."""
    return _body(pair, "request") or b"", _wire_body(pair, _fields(pair["response_headers"]))


def _recording(index: int, pair: dict) -> Recording:
    parts = urlsplit(pair["url"])
    target = quote(parts.path + (f"?{parts.query}" if parts.query else ""), safe=_URL_SAFE)
    response = _fields(pair["response_headers"])
    is_chunked = any(name.lower() == b"transfer-encoding" for name, _ in response) or bool(pair.get("is_sse"))
    body = _wire_body(pair, response)
    return Recording(
        index=index,
        method=pair["method"].encode(),
        target=target.encode() or b"/",
        request_fields=_without_framing(_fields(pair["request_headers"])),
        request_body=_body(pair, "request"),
        status=pair["status"],
        response_fields=_without_framing(response),
        response_body=body,
        is_chunked=is_chunked,
    )


def _wire_body(pair: dict, response: Fields) -> bytes:
    body = _body(pair, "response") or b""
    for name, value in response:
        if name.lower() == b"content-encoding":
            encode = _ENCODERS.get(value.decode("latin-1").strip().lower())
            body = encode(body) if encode else body
    return body


def _fields(pairs: list[list[str]]) -> Fields:
    return [(name.encode(), _value(str(value))) for name, value in pairs if _TOKEN.fullmatch(name)]


def _value(text: str) -> bytes:
    """As a client could have sent it: control bytes cannot stand in a field."""
    return _CONTROLS.sub(b" ", text.encode("utf-8", "replace")).strip()


def _without_framing(fields: Fields) -> Fields:
    return [field for field in fields if field[0].lower() not in _FRAMING]


def _body(pair: dict, side: str) -> bytes | None:
    if pair.get(f"{side}_body_b64"):
        return base64.b64decode(pair[f"{side}_body_b64"])
    text = pair.get(f"{side}_body")
    return None if text is None else text.encode("utf-8", "surrogatepass")
