"""A command that sends a recorded request again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

CREDENTIALS = ("authorization", "api-key", "x-api-key", "x-goog-api-key", "ocp-apim-subscription-key")
"""Header fields in whose place $OPENAI_API_KEY stands."""
# Whatever curl writes itself, or belonged to the connection.
_NOT_SENT = frozenset(
    "host content-length connection keep-alive proxy-connection proxy-authorization te trailer transfer-encoding "
    "upgrade expect accept-encoding cookie".split()
)
_OWN_PREFIX = "x-verbatim-"
_FINGERPRINT = "hmac:"
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SAFE_URL = re.compile(r"[\x21-\x7e]+")
_LONGEST_INLINE_BYTES = 16 << 10
DEFAULT_UPSTREAM = "v1"


def curl_command(record: Mapping[str, Any], body: bytes, verbatim: str = "verbatim") -> str:
    """Shell text; a body that does not fit on a line comes through a pipe, byte for byte, from `verbatim show`."""
    lines = [f"curl --globoff --path-as-is -X {shlex.quote(record['method'])} {shlex.quote(_url(record))}"]
    lines += [f"-H {field}" for field in _fields(record["request_headers"] or ())]
    before = ""
    if body:
        inline = _inline(body)
        if inline is None:
            before = f"{verbatim} show --raw request {shlex.quote(record['id'])} | "
            lines.append("--data-binary @-")
        else:
            lines.append(f"--data-raw {inline}")
    return before + " \\\n  ".join(lines)


def _url(record: Mapping[str, Any]) -> str:
    path = record["path"]
    if record["upstream"] != DEFAULT_UPSTREAM:
        path = path.removeprefix(f"/{record['upstream']}")
    query = f"?{record['query']}" if record["query"] else ""
    return _visible(f"{record['authority']}{path}{query}")


def _visible(url: str) -> str:
    """What a URL may not hold, percent-encoded."""
    if _SAFE_URL.fullmatch(url):
        return url
    return "".join(
        char
        if _SAFE_URL.fullmatch(char)
        else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "replace"))
        for char in url
    )


def _fields(fields: Any) -> Iterator[str]:
    has_credential = False
    for name, value in fields:
        low = name.lower()
        if not _FIELD_NAME.fullmatch(name) or low in _NOT_SENT or low.startswith(_OWN_PREFIX):
            continue
        if low in CREDENTIALS:
            has_credential = True
            scheme = "Bearer " if low == "authorization" else ""
            yield f'"{name}: {scheme}$OPENAI_API_KEY"'
        elif not value.startswith(_FINGERPRINT):
            text = f"{name}: {value}" if value else f"{name};"
            yield _quoted(text.encode("latin-1", "replace")) or shlex.quote(f"{name}:")
    if not has_credential:
        yield '"Authorization: Bearer $OPENAI_API_KEY"'


def _inline(body: bytes) -> str | None:
    """The body as a word of the shell; None where it is long or no plain text."""
    return _quoted(body) if len(body) <= _LONGEST_INLINE_BYTES else None


def _quoted(text: bytes) -> str | None:
    """Plain text in single quotes, in which a shell changes nothing; None where a terminal might."""
    try:
        word = text.decode()
    except UnicodeDecodeError:
        return None
    return shlex.quote(word) if all(char.isprintable() or char == "\n" for char in word) else None
