"""From a setting's text to its value. Each function raises ValueError with what is wrong, in a few words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from app.exchange import LogMode

RESERVED_UPSTREAM_NAMES = frozenset({"v1", "healthz", "readyz", "metrics"})
CLIENT_HEADER_NAMES = frozenset({"log", "user", "conversation", "tag", "project"})

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")
_DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?", re.IGNORECASE)
_SIZE_BYTES = {
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", start=1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", start=1)},
}
_HOST = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?"
)
_VISIBLE = re.compile(r"[\x21-\x7e]+")


def number(low: int, high: int) -> Callable[[str], int]:
    """A whole number between two bounds, both allowed."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
            raise ValueError("is no whole number")
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"is not between {low} and {high}")
        return value

    return parse


def choice(*words: str) -> Callable[[str], str]:
    """One of some fixed words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"is not {' or '.join(words)}")
        return text

    return parse


def switch(on: str, off: str) -> Callable[[str], bool]:
    """One of two words; true for the first. `true`, `1`, `yes` and their opposites are taken as well."""

    def parse(text: str) -> bool:
        word = text.lower()
        if word in {on, "on", "true", "yes", "1"}:
            return True
        if word in {off, "off", "false", "no", "0"}:
            return False
        raise ValueError(f"is neither {on} nor {off}")

    return parse


def duration_seconds(text: str) -> float:
    """`200ms`, `5s`, `2m`, `1h` in seconds."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError("is no duration")
    return float(match[1]) * _DURATION_SECONDS[match[2]]


def seconds(text: str) -> float:
    """A number of seconds, or a duration with a unit."""
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) else duration_seconds(text)


def fsync_policy(text: str) -> str:
    """`off`, `always`, or a duration above zero; given back as written."""
    if text not in {"off", "always"} and duration_seconds(text) <= 0:
        raise ValueError("is zero: say off or always")
    return text


def size_bytes(text: str) -> int:
    """`10GiB`, `500MB`, or bare bytes; above zero."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError("is no size")
    value = int(float(match[1]) * _SIZE_BYTES[(match[2] or "B").lower()])
    if value <= 0:
        raise ValueError("is zero")
    return value


def bare_host(text: str) -> str:
    """A host name or address without port; brackets around IPv6 are taken off."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not _HOST.fullmatch(host):
        raise ValueError("is no host name or address (the port is a setting of its own)")
    return host


def host_names(text: str) -> tuple[str, ...]:
    """Host names separated by commas; `*` for every one."""
    return tuple(host if host == "*" else bare_host(host) for host in _items(text))


def upstream_url(text: str) -> str:
    """The base URL of an upstream, its last slash taken off."""
    if not _VISIBLE.fullmatch(text) or "\\" in text:
        raise ValueError("has characters that a URL cannot have (write international names in Punycode)")
    parts = _split(text)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("does not start with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("holds a user name or password, which Verbatim does not send")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise ValueError("has no host")
    if not _has_valid_port(parts.netloc):
        raise ValueError("has no valid port")
    if "?" in text or "#" in text:
        raise ValueError("has a query or fragment")
    path = parts.path.rstrip("/")
    if any(segment.lower().replace("%2e", ".") in {"", ".", ".."} for segment in path.split("/")[1:]):
        raise ValueError("has an empty or dot segment in its path")
    if path.endswith("/v1"):
        raise ValueError(
            f"ends in /v1, which clients' paths bring along: leave it out, {text[: text.rindex('/v1')]}"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # Its message repeats a part of the URL, which may hold a password.
        raise ValueError("is no URL: look at the brackets") from None


def _has_valid_port(netloc: str) -> bool:
    match = re.fullmatch(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::(\d{1,5}))?", netloc, re.ASCII)
    return match is not None and (match[1] is None or 0 < int(match[1]) < 65536)


def named_upstreams(text: str) -> dict[str, str]:
    """`NAME=URL,NAME=URL`, each name a path segment of its own."""
    table: dict[str, str] = {}
    for name, url in _pairs(text):
        if name in RESERVED_UPSTREAM_NAMES:
            raise ValueError(f"names an upstream {name}, a path of Verbatim's own")
        try:
            table[name] = upstream_url(url)
        except ValueError as error:
            raise ValueError(f"gives {name} a URL that {error}") from error
    return table


def named_log_modes(text: str) -> dict[str, LogMode]:
    """`NAME=full|metadata|off,…` by upstream."""
    return {name: log_mode(mode) for name, mode in _pairs(text)}


def log_mode(text: str) -> LogMode:
    """`full`, `metadata` or `off`."""
    try:
        return LogMode(text)
    except ValueError:
        raise ValueError("is not full, metadata or off") from None


def name(text: str) -> str:
    """A name as projects and upstreams have them."""
    if not _NAME.fullmatch(text):
        raise ValueError("is no name (small letters, digits, dot, dash, underscore; at most 63)")
    return text


def client_headers(text: str) -> frozenset[str]:
    """Which x-verbatim-* headers are obeyed, or `none`."""
    if text == "none":
        return frozenset()
    found = frozenset(_items(text))
    unknown = sorted(found - CLIENT_HEADER_NAMES)
    if unknown:
        raise ValueError(f"names {unknown[0]}, which is no header of Verbatim's")
    return found


def database_url(text: str) -> str:
    """A postgresql:// URL, as given. What is wrong is said without repeating it: it holds a password."""
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("does not start with postgresql://")
    if re.search(r"[\s\x00-\x1f]", text):
        raise ValueError("has white space in it")
    netloc = _split(text).netloc.rpartition("@")[2]
    if not all(_has_valid_port(host) for host in netloc.split(",")):
        raise ValueError("has no valid host and port (write / @ : in a password as %2F %40 %3A)")
    return text


def visible_text(text: str) -> str:
    """Printable ASCII without spaces, as a header can carry it."""
    if not _VISIBLE.fullmatch(text):
        raise ValueError("has spaces or characters that are not ASCII")
    return text


def any_text(text: str) -> str:
    """Whatever was given."""
    return text


def directory(text: str) -> Path:
    """An absolute path; `~` is the home directory. It need not exist."""
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError("has a ~ for which there is no home directory") from error


def existing_file(text: str) -> Path:
    """The absolute path of a file that is there."""
    path = directory(text)
    if not path.is_file():
        raise ValueError("is no file")
    return path


def _items(text: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if "" in items:
        raise ValueError("has an empty place between commas")
    return items


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for item in _items(text):
        key, equals, value = item.partition("=")
        if not equals:
            raise ValueError("has an item without =")
        pairs.append((name(key.strip()), value.strip()))
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError("has a name twice")
    return pairs
