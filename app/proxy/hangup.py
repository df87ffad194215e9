"""Sees that a client has left while its socket is not read."""

from __future__ import annotations

import asyncio
import select

_HANGUP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


def has_hung_up(transport: asyncio.BaseTransport) -> bool:
    """Whether the other end has closed or reset the connection; asks the kernel, reads nothing."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), _HANGUP)
    return bool(poll.poll(0))
