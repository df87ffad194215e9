"""Listening sockets, bound in the supervisor: a worker that dies takes no connection with it."""

from __future__ import annotations

import errno
import os
import socket

from app.errors import ConfigError

BACKLOG = 2048


def bind(host: str, port: int, setting: str) -> list[socket.socket]:
    """Listening sockets on every address of a host; with port 0 the kernel picks one port for all of them.

    `setting` is what the listener's settings begin with (`VERBATIM_` or `VERBATIM_CONSOLE_`), for the error's line.
    Raises ConfigError.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(
            f"{setting}HOST={host} cannot be resolved ({error.strerror}); it takes an address"
        ) from error
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_listen(family, (address[0], chosen, *address[2:])))
    except OSError as error:
        for opened in sockets:
            opened.close()
        raise ConfigError(_refusal(host, port, setting, error)) from error
    return sockets


def url(scheme: str, listening: socket.socket) -> str:
    """The URL under which a program on this machine reaches a listening socket."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{scheme}://{host}:{port}"


def _listen(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # The IPv4 addresses have sockets of their own.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _refusal(host: str, port: int, setting: str, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{setting}PORT={port} on {host} is taken by another program; stop that one or set another port"
        case errno.EACCES:
            return f"{setting}PORT={port} on {host} needs rights that this user lacks; it takes a port above 1023"
        case errno.EADDRNOTAVAIL:
            return f"{setting}HOST={host} is no address of this machine; it takes one that is, or 0.0.0.0"
        case _:
            return f"{setting}HOST={host} with port {port}: {os.strerror(error.errno or 0)}"
