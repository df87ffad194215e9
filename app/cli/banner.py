"""The block that says, at start, what runs where."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from app import __version__
from app.cli.listeners import url
from app.config import Settings
from app.config.settings import LOOPBACK_HOSTS


@dataclass(frozen=True, slots=True)
class Started:
    """What was started."""

    proxy_sockets: Sequence[socket.socket]
    console_sockets: Sequence[socket.socket]
    embedded: bool


def print_started(settings: Settings, started: Started) -> None:
    """Prints the block on stdout; in colour where that is a terminal."""
    lines = [f"Verbatim {__version__}"]
    lines += [f"  {name:<10}{text}" for name, text in _rows(settings, started)]
    if started.proxy_sockets:
        base = url("https" if settings.tls_cert else "http", started.proxy_sockets[0])
        lines += ["", f"  export OPENAI_BASE_URL={base}/v1"]
    if sys.stdout.isatty():
        # Imported here: only a terminal needs it, and it would be in the memory of every process.
        from rich.console import Console

        terminal = Console(highlight=False, markup=False, soft_wrap=True)
        terminal.print(lines[0], style="bold")
        for line in lines[1:]:
            terminal.print(line, style="green" if "export " in line else "")
    else:
        print("\n".join(lines))
    sys.stdout.flush()


def _rows(settings: Settings, started: Started) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if started.proxy_sockets:
        base = url("https" if settings.tls_cert else "http", started.proxy_sockets[0])
        for upstream in settings.upstream_table():
            target = settings.upstream if upstream.name == "v1" else settings.upstreams[upstream.name]
            path = "/v1/" if upstream.name == "v1" else f"/{upstream.name}/"
            rows.append(("proxy" if upstream.name == "v1" else "", f"{base}{path}…  goes to {target}"))
        if _is_reachable_by_others(settings.host):
            rows.append(
                (
                    "",
                    f"note: whoever reaches {settings.host} can use it; it asks for no credential of its own",
                )
            )
    if started.console_sockets:
        rows.append(("console", f"{url('http', started.console_sockets[0])}  token: `verbatim token`"))
    if started.embedded:
        rows.append(("database", "PostgreSQL of its own"))
    elif settings.database_url is not None:
        rows.append(("database", "as VERBATIM_DATABASE_URL says"))
    rows.append(("data", str(settings.data_dir)))
    return rows


def _is_reachable_by_others(host: str) -> bool:
    return host not in LOOPBACK_HOSTS and not host.startswith("127.")
