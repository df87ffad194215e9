"""The console's REST API, as the command line calls it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from app.cli.console_token import known_console_token
from app.config import Settings
from app.config.settings import LOOPBACK_HOSTS, WILDCARD_HOSTS
from app.errors import ConfigError, ConsoleRefusedError, ConsoleUnreachableError
from app.export.plain_text import plain_line

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
PAGE_MAX = 1_000

Parameters = Sequence[tuple[str, str]]


class Api:
    """One console; errors are one line each."""

    def __init__(self, server: str, token: str) -> None:
        import httpx

        is_local = urlsplit(server).hostname in LOOPBACK_HOSTS
        self.server = server
        self._client = httpx.Client(
            base_url=server,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            trust_env=not is_local,
        )

    def __repr__(self) -> str:
        return f"<Api {self.server}>"

    def get(self, path: str, parameters: Parameters = ()) -> Any:
        """A JSON answer. Raises ConsoleRefusedError, ConsoleUnreachableError."""
        with self.stream(path, parameters) as answer:
            return json.loads(answer.read())

    def send(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Any:
        """What a method that changes something answers, to a JSON object where one is given. Raises as get does."""
        headers, body = {}, b""
        if content is not None:
            headers, body = {"Content-Type": "application/json"}, json.dumps(content).encode()
        with self.stream(path, headers=headers, method=method, body=body) as answer:
            return json.loads(answer.read())

    def items(
        self, path: str, parameters: Parameters, limit: int, on_incomplete: Callable[[], None] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The items of a list, page by page, at most `limit`; where looking goes on for long, that is told."""
        after: list[tuple[str, str]] = []
        while limit > 0:
            page = self.get(path, [*parameters, ("limit", str(min(limit, PAGE_MAX))), *after])
            yield from page["data"]
            limit -= len(page["data"])
            if not page["has_more"] or page["last_id"] is None:
                return
            after = [("after", page["last_id"])]
            if on_incomplete is not None and limit > 0 and page.get("incomplete"):
                on_incomplete()

    @contextmanager
    def stream(
        self,
        path: str,
        parameters: Parameters = (),
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes = b"",
    ) -> Iterator[httpx.Response]:
        """An answer of 2xx whose body is still to be read. Raises as get does, also where the body is cut."""
        import httpx

        url = f"{path}?{_query(parameters)}" if parameters else path
        try:
            with self._client.stream(method, url, headers=dict(headers or {}), content=body) as answer:
                if not answer.is_success:
                    raise _refusal(answer.status_code, answer.read())
                yield answer
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ConsoleUnreachableError(
                f"the console at {self.server} does not answer ({reason}); is `verbatim serve` running? "
                "--server names another"
            ) from error


def open_api(settings: Settings, server: str | None, token: str | None) -> Api:
    """The console that is named, or this machine's own. Raises ConfigError."""
    if server is None:
        if settings.console_port == 0:
            raise ConfigError("VERBATIM_CONSOLE_PORT=0: any port, so --server has to say which")
        host = "127.0.0.1" if settings.console_host in WILDCARD_HOSTS else settings.console_host
        host = f"[{host}]" if ":" in host else host
        return Api(f"http://{host}:{settings.console_port}", token or known_console_token(settings))
    parts = urlsplit(server if "//" in server else f"http://{server}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"--server {server}: takes a URL such as http://127.0.0.1:8081")
    url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    if token is None and settings.console_token is None and parts.hostname not in LOOPBACK_HOSTS:
        # The token of this machine's console is nobody else's business.
        raise ConfigError(f"--server {server}: takes its token by --token or VERBATIM_CONSOLE_TOKEN")
    return Api(url, token or known_console_token(settings))


def token_from(option: str | None) -> str | None:
    """The token that an option gives: itself, or `@FILE`, which no list of processes shows. Raises ConfigError."""
    if option is None or not option.startswith("@"):
        return option
    try:
        return Path(os.path.expanduser(option[1:])).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token {option}: {error}") from error


def _query(parameters: Parameters) -> str:
    """A query in which names may hold operators, as a person would write them."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters)


def _refusal(status: int, body: bytes) -> ConsoleRefusedError:
    try:
        told = json.loads(body)["error"]
        message, code = str(told["message"]), str(told["code"])
    except (ValueError, KeyError, TypeError):
        message, code = "it is no console of Verbatim's", ""
    # Whatever answers there, a terminal is not steered by it.
    return ConsoleRefusedError(plain_line(f"{status} {message}"), status, code)
