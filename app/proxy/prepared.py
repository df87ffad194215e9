"""All that follows from a request head alone: worked out once, and once for all requests with the same head.

Programs send the same head again and again over a connection, but for the length of the body. So a head that was
parsed, checked and found plain is remembered by its raw bytes without the digits of `Content-Length`; a request that
comes whole in one read, with the very same bytes, needs neither the parser nor any rule a second time.
"""

from __future__ import annotations

from app.exchange import Begin
from app.proxy.headers import Refusal, RequestHead, request_head_bytes
from app.proxy.labels import NO_LABELS, Labels, read_labels
from app.proxy.payloads import BeginTemplate
from app.proxy.rules import ProxyRules
from app.proxy.secrets import Credentials, Redactor, credentials_of, has_secret_bodies, tail_of
from app.proxy.upstream import ResponseHandler, Upstream, UpstreamCall, UpstreamClient

_REMEMBERED = 256
_LONGEST_HEAD_BYTES = 8 << 10
_LENGTH_LINES = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_MOST_DIGITS = 15


class PreparedRequest:
    """One request head, the rules applied: what goes upstream and what is kept."""

    __slots__ = (
        "_after_length",
        "_length_place",
        "_to_length",
        "begin",
        "credentials",
        "head",
        "keeps_bodies",
        "mode",
        "refusal",
        "upstream",
    )

    def __init__(self, head: RequestHead, upstream: Upstream, rules: ProxyRules, redactor: Redactor) -> None:
        self.head = head
        self.upstream = upstream
        labels = read_labels(head.own_fields, rules.client_headers)
        self.refusal = head.refusal or (labels if isinstance(labels, Refusal) else None)
        plain_labels = NO_LABELS if isinstance(labels, Refusal) else labels
        self.mode = rules.mode_of(upstream).stricter(plain_labels.log)
        self.credentials = credentials_of(head.headers, head.target)
        self.keeps_bodies = not has_secret_bodies(head.target)
        self._length_place = -1
        self._to_length, self._after_length = b"" if self.refusal else request_head_bytes(head, upstream), b""
        if head.length_bytes is not None and self.refusal is None:
            self._find_length()
        begin = self._begin(_redacted(plain_labels, redactor, self.credentials), rules, redactor)
        self.begin = BeginTemplate(begin, self._length_place)

    def _begin(self, labels: Labels, rules: ProxyRules, redactor: Redactor) -> Begin:
        """What the journal says of a request with this head; numbers and times are put in later."""
        head, credentials = self.head, self.credentials
        return Begin(
            accept_number=0,
            boot="",
            slot=0,
            wall_ns=0,
            mode=self.mode.value,
            method=head.method.decode("latin-1"),
            target=redactor.target(head.target, credentials),
            upstream=self.upstream.name,
            authority=self.upstream.url,
            http_version=head.version.decode("latin-1"),
            headers=redactor.kept(head.headers, credentials),
            project=labels.project or rules.project,
            user=labels.user,
            conversation=labels.conversation,
            tags=labels.tags,
            key=redactor.fingerprint(credentials[0]).decode() if credentials else None,
            key_tail=tail_of(credentials[0]) if credentials else None,
            bodies_kept=self.keeps_bodies,
        )

    def _find_length(self) -> None:
        """Where the digits of Content-Length stand; a field begins a line, so nothing else can look like it."""
        for place, (name, value) in enumerate(self.head.headers):
            if name.lower() == b"content-length":
                before, _, after = self._to_length.partition(b"\r\n" + name + b": " + value + b"\r\n")
                self._to_length, self._after_length = before + b"\r\n" + name + b": ", b"\r\n" + after
                self._length_place = place

    @property
    def is_plain(self) -> bool:
        """Nothing about the head asks for more than passing it on: it may be remembered."""
        head = self.head
        return (
            self.refusal is None
            and head.keep_alive
            and not head.chunked
            and not head.expects_continue
            and not head.named_hops
        )

    @property
    def length_digits(self) -> bytes:
        """The value of Content-Length in this very head; empty where there is none."""
        return self.head.headers[self._length_place][1] if self._length_place >= 0 else b""

    def start(
        self,
        client: UpstreamClient,
        length_digits: bytes,
        body: bytes,
        *,
        is_whole: bool,
        handler: ResponseHandler,
    ) -> UpstreamCall:
        """Starts the call with what there is of the body; `is_whole` says that nothing follows it."""
        return client.start(
            self.upstream,
            self.head.method,
            self.upstream_head(length_digits),
            body,
            chunked=self.head.chunked,
            is_whole=is_whole,
            upgrades=self.head.upgrade is not None,
            handler=handler,
        )

    def upstream_head(self, length_digits: bytes) -> bytes:
        """The head that goes upstream for a body of this length, complete with its empty line."""
        return self._to_length + length_digits + self._after_length if length_digits else self._to_length


class RememberedHeads:
    """Prepared requests by their raw head without the digits of `Content-Length`."""

    __slots__ = ("_known", "unknown")

    def __init__(self) -> None:
        self._known: dict[bytes, PreparedRequest] = {}
        self.unknown = b""
        """The raw head that the last `find` did not know; empty where it could not be remembered either."""

    def find(self, data: bytes) -> tuple[PreparedRequest, bytes, bytes] | None:
        """The prepared request, the digits of its length and its body, where data is one whole known request."""
        self.unknown = b""
        end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD_BYTES)
        # Parsers skip empty lines before a request, so what ends here may be no head yet.
        if end < 0 or data[0] in b"\r\n":
            return None
        digits = b""
        raw = data[:end]
        for line in _LENGTH_LINES:
            start = raw.find(line) + len(line)
            if start >= len(line):
                stop = raw.find(b"\r\n", start)
                stop = end if stop < 0 else stop
                digits = raw[start:stop]
                if len(digits) > _MOST_DIGITS or not digits.isdigit():
                    return None
                raw = raw[:start] + raw[stop:]
                break
        prepared = self._known.get(raw)
        if prepared is None:
            self.unknown = raw
            return None
        # A Content-Length written in another way is part of raw, and says nothing here of where the body ends.
        if (prepared.head.length_bytes is not None) != bool(digits):
            return None
        if end + 4 + int(digits or b"0") != len(data):
            return None
        return prepared, digits, data[end + 4 :]

    def remember(self, raw: bytes, prepared: PreparedRequest) -> None:
        """Keeps what `find` did not know."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[raw] = prepared


def _redacted(labels: Labels, redactor: Redactor, credentials: Credentials) -> Labels:
    """The labels without the credentials, should somebody have put it there."""
    if labels is NO_LABELS:
        return labels

    def clean(value: str | None) -> str | None:
        raw = (value or "").encode()
        if value is None or not redactor.is_suspect(raw, credentials):
            return value
        return redactor.scrubbed(raw, credentials).decode("utf-8", "replace")

    tags = {name: clean(value) or "" for name, value in labels.tags.items()}
    return Labels(labels.log, clean(labels.user), clean(labels.conversation), labels.project, tags)
