"""Bytes to meaning: what a list of exchanges needs, read from requests and answers, streamed and whole.

Pure and total: no I/O, no clock, and any bytes give a value. Work is bounded: 16 MiB a body, no quadratic joins, no
deep recursion. What no decoder knows is `opaque`, what is damaged is `unreadable` or `partial`; never an error.

    route ─▶ dispatch ─▶ content ─▶ sse ─▶ events ─▶ chat_stream, responses_stream, …   (a stream becomes whole)
                │  └▶ table, multipart                └▶ chat, responses, images, audio, threads, … ─▶ preview, usage
                └▶ session ─▶ websocket ─▶ realtime   (after a 101: both directions)
"""

from app.decode.dispatch import decode_exchange
from app.decode.route import route_of
from app.decode.session import decode_session
from app.decode.usage import Usage
from app.decode.values import Decoded, ErrorInfo, Message, Request, Response, ToolCall

__all__ = [
    "Decoded",
    "ErrorInfo",
    "Message",
    "Request",
    "Response",
    "ToolCall",
    "Usage",
    "decode_exchange",
    "decode_session",
    "route_of",
]
