"""Who may ask, under which name; and the headers that every answer carries."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import RETRY_SECONDS, ApiError, envelope
from app.api.grants import READ_TOKEN_PREFIX, ProjectTokens, is_readable
from app.errors import StoreError
from app.store.visible import only_project
from app.telemetry.logs import event_logger

OPEN_PATHS = frozenset({"/healthz", "/metrics"})
"""For probes and scrapers, which come by address and without a token; what is there names nobody."""

TOKENLESS_PATHS = OPEN_PATHS | {"/docs", "/openapi.json"}

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({b"same-origin", b"none"})

# A page that shows logged text can run nothing, load nothing and be framed by nobody.
_SECURITY_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What the bearer of a request's token may see."""

    project: str | None
    """One project, to be read; None: all, and everything may be done."""
    token_sha256: bytes = b""
    """Of a token that reads one project."""


_OPEN = Grant(None)


class RevokedError(Exception):
    """The token was taken away while an answer to it went out."""


class Sender:
    """Sends an answer for as long as the token it was asked with is good: a tail has no end of its own."""

    def __init__(self, send: Send, tokens: ProjectTokens, grant: Grant) -> None:
        self._send = send
        self._tokens = tokens
        self._grant = grant
        self.is_revoked = False

    async def send(self, message: Message) -> None:
        """The ASGI `send`. Raises RevokedError in the middle of an answer that goes on, which leaves it cut."""
        if self._grant.project is not None and message.get("more_body"):
            with suppress(StoreError):  # away for now: what is asked of it next says so
                self.is_revoked = await self._tokens.project_of(self._grant.token_sha256) is None
            if self.is_revoked:
                raise RevokedError
        await self._send(message)


class Guard:
    """ASGI: lets a request through that names an allowed host and bears a token that is good for it."""

    def __init__(
        self, application: ASGIApp, hosts: frozenset[str], expected_hash: bytes, tokens: ProjectTokens
    ) -> None:
        self._application = application
        self._hosts = hosts
        self._expected_hash = expected_hash
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            # No WebSockets here.
            await send({"type": "websocket.close", "code": 1008})
            return

        has_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                named = {name for name, _ in message["headers"]}
                added = (field for field in _SECURITY_HEADERS if field[0] not in named)
                message["headers"] = [*message["headers"], *added]
            await send(message)

        sender: Sender | None = None
        try:
            grant = await self._grant(scope)
            sender = Sender(send_with_headers, self._tokens, grant)
            with only_project(grant.project):
                await self._application(scope, receive, sender.send)
        except ApiError as refusal:
            await _send_error(refusal, send_with_headers)
        except Exception:  # noqa: BLE001 - the root of a request: said and answered
            if sender is not None and sender.is_revoked:
                return  # the server closes the connection
            event_logger("console").exception("request_failed")
            # What has begun stays unfinished, and the server closes the connection: the client sees that it was cut.
            if not has_started:
                await _send_error(
                    ApiError(500, "Verbatim failed on this; its log says where."), send_with_headers
                )

    async def _grant(self, scope: Scope) -> Grant:
        """What the request may see. Raises ApiError where it is refused."""
        path = scope["path"]
        if path in OPEN_PATHS:
            return _OPEN
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if not self._knows_host(_values(headers, b"host")):
            # A page on another site that points its own name at this address (DNS rebinding) ends here.
            message = "The console does not answer to this Host; VERBATIM_CONSOLE_HOSTS lists further ones."
            raise ApiError(403, message, code="host_not_allowed")
        if scope["method"] not in _SAFE_METHODS and not _is_of_this_site(headers):
            raise ApiError(403, "Pages of other sites may change nothing here.", code="cross_site")
        if path in TOKENLESS_PATHS:
            return _OPEN
        grant = await self._grant_of(_values(headers, b"authorization"))
        if grant is None:
            message = "This needs `Authorization: Bearer TOKEN`; `verbatim token` prints the token."
            raise ApiError(401, message, headers={"WWW-Authenticate": 'Bearer realm="verbatim"'})
        if grant.project is not None and not is_readable(scope["method"], path):
            message = f"This token reads project {grant.project} alone; this takes the console's own token."
            raise ApiError(403, message, code="read_token")
        return grant

    def _knows_host(self, values: list[bytes]) -> bool:
        if "*" in self._hosts:
            return True
        return len(values) == 1 and _host_name(values[0].decode("latin-1")) in self._hosts

    async def _grant_of(self, credentials: list[bytes]) -> Grant | None:
        if len(credentials) != 1:
            return None
        scheme, _, token = credentials[0].partition(b" ")
        token = token.strip()
        digest = hashlib.sha256(token).digest()
        is_own = hmac.compare_digest(digest, self._expected_hash)
        if scheme.lower() != b"bearer":
            return None
        if is_own:
            return _OPEN
        if not token.startswith(READ_TOKEN_PREFIX.encode()):
            return None
        try:
            project = await self._tokens.project_of(digest)
        except StoreError as error:
            event_logger("console").debug("store_unavailable", error=str(error))
            message = "Whether this token is good cannot be looked up right now; ask again."
            raise ApiError(503, message, headers={"Retry-After": str(RETRY_SECONDS)}) from error
        return None if project is None else Grant(project, digest)


def _values(headers: list[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def _is_of_this_site(headers: list[tuple[bytes, bytes]]) -> bool:
    """False where a browser says that a page of another site sends this; programs say nothing."""
    if any(site not in _OWN_SITES for site in _values(headers, b"sec-fetch-site")):
        return False
    hosts = _values(headers, b"host")
    return all(origin.partition(b"://")[2] in hosts for origin in _values(headers, b"origin"))


def _host_name(host: str) -> str:
    """A Host field without its port, an IPv6 address without its brackets, in small letters."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


async def _send_error(error: ApiError, send: Send) -> None:
    body = envelope(error)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
