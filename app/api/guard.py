"""Who may ask, and under which name; and the headers that every answer carries."""

from __future__ import annotations

import hashlib
import hmac

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import ApiError, envelope
from app.telemetry.logs import event_logger

OPEN_PATHS = frozenset({"/healthz", "/metrics"})
"""For probes and scrapers, which come by address and without a token; what is there names nobody."""

TOKENLESS_PATHS = OPEN_PATHS | {"/docs", "/openapi.json"}

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


def token_hash(token: str) -> bytes:
    """SHA-256 of a token: what the console keeps of it."""
    return hashlib.sha256(token.encode()).digest()


class Guard:
    """ASGI: lets a request through that names an allowed host and bears the token."""

    def __init__(self, application: ASGIApp, hosts: frozenset[str], expected_hash: bytes) -> None:
        self._application = application
        self._hosts = hosts
        self._expected_hash = expected_hash

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

        refusal = self._refusal(scope)
        if refusal is not None:
            await _send_error(refusal, send_with_headers)
            return
        try:
            await self._application(scope, receive, send_with_headers)
        except Exception:  # noqa: BLE001 - the root of a request: said and answered
            event_logger("console").exception("request_failed")
            # What has begun stays unfinished, and the server closes the connection: the client sees that it was cut.
            if not has_started:
                await _send_error(
                    ApiError(500, "Verbatim failed on this; its log says where."), send_with_headers
                )

    def _refusal(self, scope: Scope) -> ApiError | None:
        path = scope["path"]
        if path in OPEN_PATHS:
            return None
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if not self._knows_host([value for name, value in headers if name == b"host"]):
            # A page on another site that points its own name at this address (DNS rebinding) ends here.
            message = "The console does not answer to this Host; VERBATIM_CONSOLE_HOSTS lists further ones."
            return ApiError(403, message, code="host_not_allowed")
        if path in TOKENLESS_PATHS:
            return None
        if not self._knows_token([value for name, value in headers if name == b"authorization"]):
            message = "This needs `Authorization: Bearer TOKEN`; `verbatim token` prints the token."
            return ApiError(401, message, headers={"WWW-Authenticate": 'Bearer realm="verbatim"'})
        return None

    def _knows_host(self, values: list[bytes]) -> bool:
        if "*" in self._hosts:
            return True
        return len(values) == 1 and _host_name(values[0].decode("latin-1")) in self._hosts

    def _knows_token(self, values: list[bytes]) -> bool:
        if len(values) != 1:
            return False
        scheme, _, token = values[0].partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        return hmac.compare_digest(digest, self._expected_hash) and scheme.lower() == b"bearer"


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
