"""Heads of requests and answers: what is refused, what goes on and in which bytes. Pure.

Rules: RFC 9110 and 9112, made stricter where leniency lets two parsers disagree (request smuggling), and
`docs/decisions/`. Names and values go on as they came, in order and case; only hop-by-hop fields, `Expect`,
`x-verbatim-*` and `Host` are changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from app.proxy.upstream import Headers, Upstream

DEFAULT_UPSTREAM = "v1"
MAX_HEAD_BYTES = 64 << 10
MAX_FIELD_BYTES = 16 << 10
MAX_FIELDS = 100
MAX_TARGET_BYTES = 16 << 10

_METHODS = frozenset((b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS"))
_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_NOT_FORWARDED = _HOP_BY_HOP | {b"expect"}
_FRAMING = frozenset((b"content-length", b"host"))
_OWN_PREFIX = b"x-verbatim-"
_TAKEN_OFF = _HOP_BY_HOP | {b"x-verbatim-exchange-id"}
_LONGEST_TAKEN_OFF_BYTES = max(len(name) for name in _TAKEN_OFF)
_BAD_BYTES = re.compile(rb"[\x00\r\n]")
_BAD_TARGET = re.compile(rb"[\x00-\x20\x7f-\xff\\#]|%00|%0[aAdD]")
_DOT_SEGMENT = re.compile(rb"/(?:\.|%2[eE]){1,2}(?=/|$)")
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=-]*(?::\d{0,5})?|\[[0-9A-Fa-f:.]+\](?::\d{0,5})?")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PROTOCOL = re.compile(_TOKEN.pattern + b"(?:/" + _TOKEN.pattern + b")?")
_OTHER_HTTP = frozenset((b"h2c", b"h2", b"http/2.0", b"tls/1.0"))
_DIGITS = re.compile(rb"\d{1,18}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that Verbatim answers itself: status, a word for programs, a line for people, the field it is about."""

    status: int
    code: str
    message: str
    param: str | None = None


_BAD_HOST = Refusal(400, "bad_host", "send exactly one Host field with the address of this proxy")


class RequestHead:
    """A request head as it came, with what was read from it."""

    __slots__ = (
        "chunked",
        "expects_continue",
        "headers",
        "keep_alive",
        "length_bytes",
        "method",
        "named_hops",
        "own_fields",
        "refusal",
        "target",
        "upgrade",
        "version",
    )

    def __init__(self, method: bytes, target: bytes, version: bytes, headers: Headers) -> None:
        self.method = method
        self.target = target
        self.version = version
        """`1.0` or `1.1`."""
        self.headers = headers
        self.length_bytes: int | None = None
        self.chunked = False
        self.expects_continue = False
        self.keep_alive = version == b"1.1"
        self.named_hops: frozenset[bytes] = frozenset()
        """Fields that `Connection` names, in lower case."""
        self.own_fields: dict[bytes, bytes] = {}
        """The x-verbatim-* fields, names in lower case without the prefix."""
        self.upgrade: bytes | None = None
        """The protocol that the client wants to change to, where it does."""
        self.refusal = self._read()

    @property
    def has_body(self) -> bool:
        """True where a body was announced, be it empty in the end."""
        return self.chunked or bool(self.length_bytes)

    def _read(self) -> Refusal | None:
        hosts = lengths = 0
        problem: Refusal | None = None
        for name, value in self.headers:
            low = name.lower()
            if low == b"host":
                hosts += 1
                problem = problem if _HOST.fullmatch(value) else _BAD_HOST
            elif low == b"content-length":
                lengths += 1
                if not _DIGITS.fullmatch(value):
                    return Refusal(400, "bad_content_length", "Content-Length is no decimal number of bytes")
                self.length_bytes = int(value)
            elif low in _NOT_FORWARDED:
                problem = self._read_hop(low, value) or problem
            elif low.startswith(_OWN_PREFIX):
                self.own_fields[low[len(_OWN_PREFIX) :]] = value
        if lengths > 1 or (self.chunked and lengths):
            return Refusal(400, "ambiguous_length", "the length of the body is given more than once")
        return problem or self._host_problem(hosts) or self._limits()

    def _host_problem(self, hosts: int) -> Refusal | None:
        if self.version not in (b"1.0", b"1.1"):
            return Refusal(400, "bad_version", "only HTTP/1.1 and HTTP/1.0 are spoken here")
        return _BAD_HOST if hosts > 1 or (hosts == 0 and self.version == b"1.1") else None

    def _read_hop(self, low: bytes, value: bytes) -> Refusal | None:
        lowered = value.lower()
        if low == b"transfer-encoding":
            if lowered != b"chunked" or self.chunked or self.version != b"1.1":
                return Refusal(
                    400,
                    "bad_transfer_encoding",
                    "Transfer-Encoding may only be `chunked`, in HTTP/1.1",
                )
            self.chunked = True
        elif low == b"connection":
            names = frozenset(token.strip() for token in lowered.split(b","))
            if b"close" in names:
                self.keep_alive = False
            self.named_hops |= names - {b"close", b"keep-alive", b""}
            if self.named_hops & _FRAMING:
                return Refusal(400, "bad_connection", "Connection may not name Host or Content-Length")
        elif low == b"upgrade":
            self.upgrade = value if self.upgrade is None else self.upgrade + b", " + value
        elif low == b"expect":
            if lowered != b"100-continue":
                return Refusal(417, "bad_expectation", "Expect may only be 100-continue")
            self.expects_continue = self.version == b"1.1"
        return None

    def _limits(self) -> Refusal | None:
        if len(self.headers) > MAX_FIELDS:
            return Refusal(431, "too_many_fields", f"more than {MAX_FIELDS} header fields")
        text = b"".join([part for field in self.headers for part in field])
        if (
            len(text) + 4 * len(self.headers) + len(self.target) > MAX_HEAD_BYTES
            or len(self.target) > MAX_TARGET_BYTES
        ):
            return Refusal(
                431, "head_too_large", f"the request head is larger than {MAX_HEAD_BYTES >> 10} KiB"
            )
        if len(text) > MAX_FIELD_BYTES and any(len(n) + len(v) > MAX_FIELD_BYTES for n, v in self.headers):
            return Refusal(
                431, "field_too_large", f"a header field is larger than {MAX_FIELD_BYTES >> 10} KiB"
            )
        if _BAD_BYTES.search(text) or not all(_TOKEN.fullmatch(name) for name, _ in self.headers):
            return Refusal(400, "bad_field", "a header field holds bytes that HTTP does not allow")
        if self.method not in _METHODS:
            return Refusal(405, "method_not_allowed", "use GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS")
        return self._upgrade_problem() or target_refusal(self.target)

    def _upgrade_problem(self) -> Refusal | None:
        """An `Upgrade` that `Connection` does not name is none; one that changes how HTTP is framed is refused."""
        if b"upgrade" not in self.named_hops or self.upgrade is None:
            self.upgrade = None
            return None
        if not _PROTOCOL.fullmatch(self.upgrade) or self.upgrade.lower() in _OTHER_HTTP:
            return Refusal(501, "upgrade_unsupported", "the connection can become a WebSocket, but not this")
        if self.method != b"GET" or self.version != b"1.1" or self.has_body or self.expects_continue:
            return Refusal(
                400, "bad_upgrade", "only a GET of HTTP/1.1 without a body can upgrade its connection"
            )
        return None


def target_refusal(target: bytes) -> Refusal | None:
    """Why a request target is not passed on: only one unambiguous origin form is."""
    if (
        target[:1] != b"/"
        or target[:2] == b"//"
        or _BAD_TARGET.search(target)
        or _DOT_SEGMENT.search(target.partition(b"?")[0])
    ):
        return Refusal(
            400,
            "bad_target",
            "the target must be a plain absolute path: no host, `//`, `\\`, `.` or `..` segment",
        )
    return None


def first_segment(target: bytes) -> bytes:
    """The first raw segment of a target, which alone chooses the upstream: `v1` of `/v1/models?limit=2`."""
    end = target.find(b"/", 1)
    if end < 0:
        end = len(target)
    return target[1:end].partition(b"?")[0]


def forwarded_target(target: bytes, upstream: Upstream) -> bytes:
    """The target below the upstream's base URL: the name of a named upstream is taken off, the rest stays raw."""
    if upstream.name == DEFAULT_UPSTREAM:
        return target
    rest = target[1 + len(upstream.name) :]
    return rest if rest[:1] == b"/" else b"/" + rest


def request_head_bytes(request: RequestHead, upstream: Upstream) -> bytes:
    """The head that goes upstream, complete with its empty line."""
    lines = [
        request.method + b" " + upstream.prefix + forwarded_target(request.target, upstream) + b" HTTP/1.1",
        b"Host: " + upstream.authority,
    ]
    named = request.named_hops
    for name, value in request.headers:
        low = name.lower()
        if low == b"host":
            # The field keeps the place and the case in which the client wrote it; there is at most one.
            lines.append(lines.pop(1).replace(b"Host", name, 1))
        elif low not in _NOT_FORWARDED and low not in named and not low.startswith(_OWN_PREFIX):
            lines.append(name + b": " + value)
    if request.chunked:
        lines.append(b"Transfer-Encoding: chunked")
    if request.upgrade is not None:
        lines += (b"Connection: Upgrade", b"Upgrade: " + request.upgrade)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def is_own(name: bytes) -> bool:
    """Whether a field is one that clients may send to Verbatim, which never goes on."""
    return name.lower().startswith(_OWN_PREFIX)


def is_taken_off(name: bytes) -> bool:
    """Whether an answer's field never reaches the client, whatever its value."""
    return len(name) <= _LONGEST_TAKEN_OFF_BYTES and _is_taken_off(name)


def without_own(trailers: Headers) -> Headers:
    """A request's trailers that go on."""
    return [field for field in trailers if not is_own(field[0])] if trailers else trailers


@lru_cache(maxsize=1024)
def _is_taken_off(name: bytes) -> bool:
    return name.lower() in _TAKEN_OFF
