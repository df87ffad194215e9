"""What of a request or answer head may be kept: values on an allow-list stay, all others become fingerprints."""

from __future__ import annotations

import hmac
import re
from urllib.parse import unquote_to_bytes

import msgspec

from app.exchange import KeptHeaders

_KEPT_FIELD_NAMES = b"""
accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials
access-control-allow-headers access-control-allow-methods access-control-allow-origin
access-control-expose-headers access-control-max-age age allow alt-svc anthropic-beta anthropic-version
apim-request-id cache-control cf-cache-status cf-ray connection content-disposition content-encoding
content-language content-length content-range content-security-policy content-type
cross-origin-opener-policy date dnt etag expect expires host idempotency-key if-match if-modified-since
if-none-match if-range if-unmodified-since keep-alive last-modified location nel openai-beta openai-model
openai-organization openai-processing-ms openai-project openai-version origin pragma range referrer-policy
report-to request-id retry-after retry-after-ms sec-websocket-extensions sec-websocket-version server
server-timing strict-transport-security te trace-id traceparent tracestate trailer transfer-encoding upgrade
user-agent vary via x-accel-buffering x-client-request-id x-cloud-trace-context x-content-type-options
x-envoy-upstream-service-time x-frame-options x-groq-region x-ms-client-request-id x-ms-rai-invoked
x-ms-region x-openai-proxy-wasm x-powered-by x-request-id x-runtime x-should-retry x-verbatim-exchange-id
x-xss-protection
"""
_KEPT_QUERY_NAMES = b"""
after agent_id api-version before beta bucket_width call_id deployment end_time environment_id filter format
group_by include include_obfuscation intent limit model name order order_by page purpose run_id
starting_after start_time status stream type user variant
"""
KEPT_FIELDS = frozenset(_KEPT_FIELD_NAMES.split())
KEPT_QUERY = frozenset(_KEPT_QUERY_NAMES.split())
KEPT_PREFIXES = (b"x-stainless-", b"x-ratelimit-", b"azureml-", b"anthropic-ratelimit-")
CREDENTIAL_FIELDS = frozenset(
    (
        b"authorization",
        b"proxy-authorization",
        b"api-key",
        b"x-api-key",
        b"x-goog-api-key",
        b"ocp-apim-subscription-key",
    )
)
SECRET_BODIES = re.compile(
    rb"/+(?:realtime/+(?:client_secrets|sessions|transcription_sessions|translations/+client_secrets)"
    rb"|chatkit/+sessions|organization/+admin_api_keys|service_accounts|webhook_endpoints"
    rb"|vaults/+[^/]+/+credentials)(?:/|$)",
    re.IGNORECASE,
)
_LOOKS_SECRET = re.compile(
    rb"(?:[Bb]earer|BEARER)\s+[\w.~+/=-]{8,}|\b(?:sk|rk|pk|gsk|xai|ek)[-_][\w-]{16,}|\beyJ[\w-]{8,}\.[\w-]{8,}|"
    rb"insecure-api-key\.[^\s,]+|//[^/\s?#]*:[^/\s?#]*@"
)
_encode = msgspec.msgpack.Encoder().encode
_SHORTEST_REPEATED_BYTES = 8
"""Of a credential beside the first one: a shorter one may stand anywhere by chance."""

Credentials = tuple[bytes, ...]
"""What a call presents. The first names its key; none of them may be written, wherever it is repeated."""
_TAIL_NEEDS_CHARACTERS = 20
_REMEMBERED = 4096
_LONGEST_REMEMBERED_BYTES = 1 << 10
"""Of a name or a value: what is remembered is a few MiB, whatever clients send."""
_REPLACED = b"hmac:"
_SIGNS = (b"k-", b"k_", b"ai-", b"ai_", b"eyJ", b"key.", b"@", b"earer", b"EARER")
"""One of these stands in whatever _LOOKS_SECRET finds."""


class Redactor:
    """Fingerprints under one key; remembers recent ones, since programs send the same values again and again."""

    __slots__ = ("_fingerprints", "_is_kept", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._fingerprints: dict[bytes, bytes] = {}
        self._is_kept: dict[bytes, bool] = {}
        """By field name as it came."""

    def fingerprint(self, value: bytes) -> bytes:
        """The first 16 hexadecimal digits of HMAC-SHA-256 of the value."""
        return self.replaced(value)[len(_REPLACED) :]

    def replaced(self, value: bytes) -> bytes:
        """What stands for a value that is not kept."""
        found = self._fingerprints.get(value)
        if found is None:
            found = _REPLACED + hmac.digest(self._key, value, "sha256")[:8].hex().encode()
            if len(value) <= _LONGEST_REMEMBERED_BYTES:
                if len(self._fingerprints) >= _REMEMBERED:
                    self._fingerprints.clear()
                self._fingerprints[value] = found
        return found

    def kept(self, headers: list[tuple[bytes, bytes]], credentials: Credentials = ()) -> KeptHeaders:
        """The header list as it may be written: same names, order and duplicates."""
        known = self._is_kept
        kept: KeptHeaders = []
        values: list[bytes] = []
        for field in headers:
            name = field[0]
            is_kept = known.get(name)
            if is_kept is None:
                is_kept = self._learn(name)
            if is_kept:
                kept.append(field)
                values.append(field[1])
            else:
                kept.append((name, self.replaced(field[1])))
        if self.is_suspect(b"\n".join(values), credentials):
            kept = [(name, self.scrubbed(value, credentials)) for name, value in kept]
        return kept

    def packed(self, name: bytes, value: bytes) -> bytes:
        """One header field as it may be written, in MessagePack; that it holds no credential of the call is known."""
        if not self._is_kept.get(name, False) and not self._learn(name):
            value = self.replaced(value)
        elif self.is_suspect(value, ()):
            value = self.scrubbed(value, ())
        return _encode((name, value))

    def _learn(self, name: bytes) -> bool:
        low = name.lower()
        is_kept = low in KEPT_FIELDS or low.startswith(KEPT_PREFIXES)
        if len(name) <= _LONGEST_REMEMBERED_BYTES:
            if len(self._is_kept) >= _REMEMBERED:
                self._is_kept.clear()
            self._is_kept[name] = is_kept
        return is_kept

    def is_suspect(self, text: bytes, credentials: Credentials) -> bool:
        """True where the text holds a credential of the call, a query, or something that looks like a credential."""
        if b"?" in text:
            return True
        for credential in credentials:
            if credential in text:
                return True
        # The expression is slow, since it tries every place; what it cannot do without is found fast.
        for sign in _SIGNS:
            if sign in text:
                return _LOOKS_SECRET.search(text) is not None
        return False

    def scrubbed(self, text: bytes, credentials: Credentials) -> bytes:
        """The text with every credential in it, and every query value that is not on the list, replaced."""
        for credential in credentials:
            text = text.replace(credential, self.replaced(credential))
        text = _LOOKS_SECRET.sub(lambda found: self.replaced(found[0]), text)
        before, mark, query = text.partition(b"?")
        return before + mark + self._query(query) if mark else text

    def target(self, target: bytes, credentials: Credentials) -> bytes:
        """A request target as it may be written."""
        if b"?" not in target and not self.is_suspect(target, credentials):
            return target
        return self.scrubbed(target, credentials)

    def _query(self, query: bytes) -> bytes:
        return b"&".join(self._query_field(field) for field in query.split(b"&"))

    def _query_field(self, field: bytes) -> bytes:
        name, equals, value = field.partition(b"=")
        if not equals:
            # A field without a name is a value; it stays only where it is a known word.
            return field if not field or field in KEPT_QUERY else self.replaced(field)
        plain = unquote_to_bytes(name)
        is_listed = plain in KEPT_QUERY or plain.startswith((b"metadata[", b"include["))
        if is_listed and b";" not in value:
            return field
        return name + equals + self.replaced(value)


def credentials_of(headers: list[tuple[bytes, bytes]], target: bytes) -> Credentials:
    """The credentials that a call presents: bearer tokens, API key fields, WebSocket subprotocols, query fields."""
    found: list[bytes] = []
    for name, value in headers:
        lowered = name.lower()
        if lowered in CREDENTIAL_FIELDS:
            scheme, space, token = value.partition(b" ")
            if not space or scheme.lower() != b"bearer":
                # Of another scheme the whole names the key, and the part alone is a secret as well.
                found.append(value.strip())
            found.append(token.strip())
        elif lowered == b"sec-websocket-protocol":
            for protocol in value.split(b","):
                kind, dot, token = protocol.strip().partition(b"openai-insecure-api-key.")
                if dot and not kind:
                    found.append(token)
    _, _, query = target.partition(b"?")
    for field in query.split(b"&") if query else ():
        name, _, value = field.partition(b"=")
        if name.lower() in (b"key", b"api_key", b"api-key", b"token", b"access_token"):
            found.append(unquote_to_bytes(value))
    given = [each for each in found if each]
    if len(given) < 2:
        return tuple(given)
    others = {each for each in given[1:] if len(each) >= _SHORTEST_REPEATED_BYTES}
    # The longest first: another one may be a part of it.
    return (given[0], *sorted(others - {given[0]}, key=len, reverse=True))


def tail_of(credential: bytes) -> str | None:
    """The last four characters of a credential long enough to spare them."""
    return credential[-4:].decode("latin-1") if len(credential) >= _TAIL_NEEDS_CHARACTERS else None


def has_secret_bodies(target: bytes) -> bool:
    """True for routes whose bodies carry secrets; their bodies never enter the journal."""
    return bool(SECRET_BODIES.search(unquote_to_bytes(target.partition(b"?")[0])))
