"""Which decoder reads which endpoint: one table for what POST makes, one for what GET reads again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.decode.anthropic import read_anthropic_answer, read_anthropic_request, read_token_count
from app.decode.anthropic_stream import fold_anthropic
from app.decode.chat import read_chat_answer, read_chat_request, read_stored_messages
from app.decode.chat_stream import fold_chat, fold_completions
from app.decode.completions import read_completions_answer, read_completions_request
from app.decode.embeddings import read_embeddings_answer, read_embeddings_request
from app.decode.events import Fold, StreamEvents
from app.decode.jsonsafe import TextCleaner
from app.decode.responses import read_input_items, read_responses_answer, read_responses_request
from app.decode.responses_stream import fold_responses
from app.decode.values import Answer, Message


@dataclass(frozen=True, slots=True)
class Decoder:
    """How one endpoint is read. A form's fields (multipart.py) stand for a JSON object wherever one is read."""

    read_request: Callable[[dict[str, object], TextCleaner], list[Message]] | None
    """None where a request says nothing."""
    read_answer: Callable[[dict[str, object], TextCleaner], Answer]
    fold: Callable[[StreamEvents, TextCleaner], Fold] | None = None
    read_plain: Callable[[bytes, str, TextCleaner], Answer | None] | None = None
    """Reads answers that are no JSON, from their bytes and media type: text, sound, files, nothing at all."""
    sum_up: Callable[[dict[str, object], TextCleaner], str | None] | None = None
    """The preview of a request that has no messages."""
    needs_body: bool = True
    """A request that has messages cannot be empty."""
    gives_file: bool = False
    """A good answer is somebody's file, never an object of the API, even where it is JSON."""


DECODERS = {
    "chat/completions": Decoder(read_chat_request, read_chat_answer, fold_chat),
    "completions": Decoder(read_completions_request, read_completions_answer, fold_completions),
    "embeddings": Decoder(read_embeddings_request, read_embeddings_answer),
    "messages": Decoder(read_anthropic_request, read_anthropic_answer, fold_anthropic),
    "messages/count_tokens": Decoder(read_anthropic_request, read_token_count),
    "responses": Decoder(read_responses_request, read_responses_answer, fold_responses),
    "responses/compact": Decoder(read_responses_request, read_responses_answer, fold_responses),
    "responses/input_tokens": Decoder(read_responses_request, read_token_count),
    "responses/{id}/cancel": Decoder(None, read_responses_answer),
}
"""By route; only what POST makes is read so: a GET of the same path lists what was stored."""

STORED_DECODERS = {
    "chat/completions/{id}": Decoder(None, read_chat_answer),
    "chat/completions/{id}/messages": Decoder(None, read_stored_messages),
    "responses/{id}": Decoder(None, read_responses_answer, fold_responses),
    "responses/{id}/input_items": Decoder(None, read_input_items),
}
"""By route, for GET: an answer that was made before, or is being made in the background."""


def decoder_for(method: str, route: str) -> Decoder | None:
    """The decoder of an endpoint; None where none knows it."""
    if method == "POST":
        return DECODERS.get(route)
    return STORED_DECODERS.get(route) if method == "GET" else None
