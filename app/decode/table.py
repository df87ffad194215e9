"""Which decoder reads which endpoint: one table for what POST makes, one for what GET reads again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.decode.anthropic import read_anthropic_answer, read_anthropic_request, read_token_count
from app.decode.anthropic_stream import fold_anthropic
from app.decode.audio import (
    fold_speech,
    fold_transcription,
    read_speech,
    read_speech_answer,
    read_speech_request,
    read_transcript,
    read_transcription_answer,
    read_transcription_request,
)
from app.decode.chat import read_chat_answer, read_chat_request, read_stored_messages
from app.decode.chat_stream import fold_chat, fold_completions
from app.decode.completions import read_completions_answer, read_completions_request
from app.decode.embeddings import read_embeddings_answer, read_embeddings_request
from app.decode.events import Fold, StreamEvents
from app.decode.images import fold_images, read_images_answer, read_images_request
from app.decode.jsonsafe import TextCleaner
from app.decode.moderations import read_moderations_answer, read_moderations_request
from app.decode.objects import (
    fold_objects,
    read_given_file,
    read_object,
    read_plain_object,
    sum_up_request,
)
from app.decode.responses import read_input_items, read_responses_answer, read_responses_request
from app.decode.responses_stream import fold_responses
from app.decode.route import OTHER
from app.decode.threads import (
    fold_run,
    read_items_request,
    read_run_answer,
    read_stored_message,
    read_thread_request,
)
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
    takes_any: bool = False
    """An answer may be any JSON: a list, an empty object."""


_OBJECT = Decoder(
    None, read_object, fold_objects, read_plain_object, sum_up_request, needs_body=False, takes_any=True
)
_FILE = replace(_OBJECT, fold=None, read_plain=read_given_file, gives_file=True)
_IMAGES = Decoder(read_images_request, read_images_answer, fold_images)
_TRANSCRIPTION = Decoder(
    read_transcription_request, read_transcription_answer, fold_transcription, read_transcript
)
_RUN = replace(_OBJECT, read_request=read_thread_request, read_answer=read_run_answer, fold=fold_run)
_THREAD = replace(_OBJECT, read_request=read_thread_request)
_ITEMS = replace(_OBJECT, read_request=read_items_request)
_STORED = replace(_OBJECT, read_answer=read_stored_message)
_PROMPTED = replace(_OBJECT, read_request=read_images_request)

DECODERS = {
    "audio/speech": Decoder(
        read_speech_request, read_speech_answer, fold_speech, read_speech, gives_file=True
    ),
    "audio/transcriptions": _TRANSCRIPTION,
    "audio/translations": _TRANSCRIPTION,
    "chat/completions": Decoder(read_chat_request, read_chat_answer, fold_chat),
    "completions": Decoder(read_completions_request, read_completions_answer, fold_completions),
    "conversations": _ITEMS,
    "conversations/{id}/items": _ITEMS,
    "embeddings": Decoder(read_embeddings_request, read_embeddings_answer),
    "images/edits": _IMAGES,
    "images/generations": _IMAGES,
    "images/variations": _IMAGES,
    "messages": Decoder(read_anthropic_request, read_anthropic_answer, fold_anthropic),
    "messages/count_tokens": Decoder(read_anthropic_request, read_token_count),
    "moderations": Decoder(read_moderations_request, read_moderations_answer),
    "responses": Decoder(read_responses_request, read_responses_answer, fold_responses),
    "responses/compact": Decoder(read_responses_request, read_responses_answer, fold_responses),
    "responses/input_tokens": Decoder(read_responses_request, read_token_count),
    "responses/{id}/cancel": Decoder(None, read_responses_answer),
    "threads": _THREAD,
    "threads/runs": _RUN,
    "threads/{id}/messages": _THREAD,
    "threads/{id}/runs": _RUN,
    "threads/{id}/runs/{id}/submit_tool_outputs": _RUN,
    "videos": _PROMPTED,
    "videos/edits": _PROMPTED,
    "videos/extensions": _PROMPTED,
    "videos/{id}/remix": _PROMPTED,
}
"""By route; only what POST makes is read so: a GET of the same path lists what was stored."""

STORED_DECODERS = {
    "chat/completions/{id}": Decoder(None, read_chat_answer),
    "chat/completions/{id}/messages": Decoder(None, read_stored_messages),
    "responses/{id}": Decoder(None, read_responses_answer, fold_responses),
    "responses/{id}/input_items": Decoder(None, read_input_items),
    "conversations/{id}/items": _STORED,
    "conversations/{id}/items/{id}": _STORED,
    "threads/{id}/messages": _STORED,
    "threads/{id}/messages/{id}": _STORED,
    "threads/{id}/runs/{id}": replace(_OBJECT, read_answer=read_run_answer),
}
"""By route, for GET: an answer that was made before, or is being made in the background."""


def decoder_for(method: str, route: str) -> Decoder | None:
    """The decoder of an endpoint; None where none knows it."""
    if route == OTHER or route.endswith(f"/{OTHER}"):
        return None
    if method == "GET" and route.endswith("/content") and not route.startswith("vector_stores/"):
        return _FILE
    known = DECODERS if method == "POST" else STORED_DECODERS if method == "GET" else {}
    return known.get(route, _OBJECT)
