"""Both bodies of an exchange as JSON objects; a stream is folded into the object that a whole answer would be."""

from __future__ import annotations

from app.decode.chat_stream import fold_chat
from app.decode.content import decode_content
from app.decode.dispatch import has_events
from app.decode.events import read_events
from app.decode.jsonsafe import TextCleaner, as_dict, read_json
from app.decode.responses_stream import fold_responses
from app.decode.values import Request, Response


def read_objects(
    request: Request, response: Response, *, is_chat: bool
) -> tuple[dict[str, object], dict[str, object]]:
    """What was asked and what was answered, of a chat completion or else a response; empty where it is no JSON."""
    cleaner = TextCleaner()
    asked, _ = decode_content(request.body or b"", request.content_encoding)
    told, _ = decode_content(response.body or b"", response.content_encoding)
    if has_events(response):
        fold = fold_chat if is_chat else fold_responses
        answer = fold(read_events(told, cleaner.flags), cleaner).value
    else:
        answer = as_dict(read_json(told, cleaner.flags)) if told else {}
    return (as_dict(read_json(asked, cleaner.flags)) if asked else {}), answer
