"""All other endpoints: objects of the API that were made, read, changed, listed or deleted, read by one table.

What is told of an object is its id, model, status and error, and the few words that tell it in a list. A file that
is given back is told by media type and size.
"""

from __future__ import annotations

from app.decode.amounts import count_text, size_text, whole_number
from app.decode.envelope import read_error
from app.decode.events import Fold, StreamEvents, event_type, stream_error
from app.decode.jsonsafe import TextCleaner, as_dict, as_list, as_str
from app.decode.preview import describe_media
from app.decode.sniff import sniffed_type
from app.decode.sums import add_usage
from app.decode.values import Answer, ErrorInfo, Message

NAMES = ("filename", "name", "title", "display_name", "endpoint", "fine_tuned_model", "model")
"""Fields that tell an object from others of its kind, best first."""
ASKED = (
    "query",
    "prompt",
    "name",
    "title",
    "endpoint",
    "filename",
    "training_file",
    "file_id",
    "agent_id",
    "model",
)
"""Fields of a request that tell what it is about, best first."""
COUNTS = ("request_counts", "file_counts", "result_counts")
RESULTS = ("data", "results", "tokens", "answers")
SHOWN_RESULTS = 4


def read_object(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """Any object of the API, or a list of them."""
    text = as_str(body.get("text")) if body.get("object") == "stream" else None
    return Answer(
        upstream_id=cleaner.label(body.get("id")),
        model=cleaner.label(body.get("model")),
        usage=body.get("usage"),
        service_tier=cleaner.label(body.get("service_tier")),
        finish_reason=cleaner.label(body.get("status")),
        error=object_error(body, cleaner),
        messages=[Message("response", 0, "assistant", cleaner.text(text))] if text else [],
        summary=None if text else object_summary(body, cleaner),
    )


def object_error(body: dict[str, object], cleaner: TextCleaner) -> ErrorInfo | None:
    """Why an object failed: `last_error` of a run, the first of a batch's `errors`, or `error`."""
    first = next(iter(as_list(as_dict(body.get("errors")).get("data"))), None)
    for told in (body.get("last_error"), first, body.get("error")):
        error = read_error(told, cleaner)
        if error is not None and (error.type or error.code or error.message):
            return error
    return None


def object_summary(body: dict[str, object], cleaner: TextCleaner) -> str | None:
    """`12 models`, `file report.pdf, 2.1 MB, processed`, `thread deleted`; None where there is nothing to tell."""
    kind = as_str(body.get("object")) or ""
    if body.get("deleted") is True:
        return f"{_noun(kind.removesuffix('.deleted'))} deleted"
    for name in RESULTS:
        if isinstance(body.get(name), list):
            return _summary_of_list(as_list(body[name]), body, name)
    if not kind:
        nested = as_dict(body.get("session"))
        return object_summary(nested, cleaner) if nested.get("object") else None
    words = [" ".join([_noun(kind), *_first_text(body, NAMES if kind != "model" else ("id",))])]
    size = whole_number(body.get("bytes")) or whole_number(body.get("usage_bytes"))
    words += [size_text(size)] if size else []
    words += [status.replace("_", " ") for status in _first_text(body, ("status",))]
    words += _counts(body)
    return cleaner.text(", ".join(words))


def sum_up_request(body: dict[str, object], cleaner: TextCleaner) -> str | None:
    """What a request is about: the files of a form, a name, a question."""
    files = [value for value in body.values() if isinstance(value, dict) and "sha256" in value]
    files += [value for each in body.values() if isinstance(each, list) for value in each if _is_file(value)]
    if files:
        words = [describe_media(as_dict(file)) for file in files[:SHOWN_RESULTS]]
        purpose = _first_text(body, ("purpose",))
        return cleaner.text(", ".join(words) + (f", for {purpose[0]}" if purpose else ""))
    asked = _first_text(body, ASKED) or _first_text(as_dict(body.get("session")), ASKED)
    return cleaner.text(asked[0]) if asked else None


def read_plain_object(body: bytes, media_type: str, cleaner: TextCleaner) -> Answer | None:
    """An answer that is empty, or no JSON and does not claim to be."""
    if not body.strip():
        return Answer()
    return None if "json" in media_type else read_given_file(body, media_type, cleaner)


def read_given_file(body: bytes, media_type: str, cleaner: TextCleaner) -> Answer:
    """Somebody's file; what is in it is not looked at."""
    kind = sniffed_type(body[:12]) or media_type or "bytes"
    return Answer(summary=cleaner.text(f"{kind[:128]}, {size_text(len(body))}"))


def fold_objects(stream: StreamEvents, cleaner: TextCleaner) -> Fold:
    """Events of an endpoint that has no fold of its own: the text they spell, and what they used."""
    pieces: list[str] = []
    usage: dict[str, object] = {}
    about: dict[str, object] = {}
    error: object = None
    for event in stream.events:
        kind = event_type(event)
        if kind.endswith("output_text.delta"):
            pieces.append(as_str(event.value.get("delta")) or "")
        elif kind.endswith(".turn.completed"):
            usage = add_usage(usage, as_dict(event.value.get("usage")))
        error = error or stream_error(event)
        about = about or _object_in(event.value)
    told = read_error(error, cleaner)
    known: dict[str, object] = {name: about[name] for name in ("id", "model", "status") if name in about}
    value: dict[str, object] = {
        **known,
        "object": "stream",
        "count": len(stream.events),
        "usage": usage,
        "text": "".join(pieces),
    }
    return Fold(value, is_ended=True, is_finished=True, error=told)


def _object_in(value: dict[str, object]) -> dict[str, object]:
    """The object that an event is about: its session, or the event itself."""
    session = as_dict(value.get("session"))
    return session or (value if isinstance(value.get("id"), str) else {})


def _summary_of_list(items: list[object], body: dict[str, object], name: str) -> str:
    first = as_dict(items[0]) if items else {}
    kind = _noun(as_str(first.get("object")) or "")
    noun = kind
    if kind == "object":
        noun = "item" if name == "data" else name.removesuffix("s")
    if "score" in first or "relevance_score" in first:
        noun = "result"
    words = count_text(len(items), noun)
    if body.get("has_more") is True:
        words += ", more follow"
    named = [name for item in items[:SHOWN_RESULTS] for name in _first_text(as_dict(item), ("filename",))]
    return f"{words}: {', '.join(named)}" if named else words


def _counts(body: dict[str, object]) -> list[str]:
    """`10 of 12 done, 2 failed`."""
    for name in COUNTS:
        counts = as_dict(body.get(name))
        total, done = whole_number(counts.get("total")), whole_number(counts.get("completed"))
        if total and done is not None:
            failed = whole_number(counts.get("failed"))
            return [f"{done} of {total} done", *([f"{failed} failed"] if failed else [])]
    progress = whole_number(body.get("progress"))
    if body.get("object") == "stream":
        return [count_text(whole_number(body.get("count")) or 0, "event")]
    return [f"{progress} %"] if progress else []


def _is_file(value: object) -> bool:
    return isinstance(value, dict) and "sha256" in value


def _first_text(body: dict[str, object], names: tuple[str, ...]) -> list[str]:
    """The first field that is a text, in a list of one; an empty list where there is none."""
    for name in names:
        value = body.get(name)
        if isinstance(value, list) and value and isinstance(value[0], str):
            value = value[0]
        if isinstance(value, str) and value.strip():
            return [value[:256]]
    return []


def _noun(kind: str) -> str:
    return kind[:64].replace(".", " ").replace("_", " ").strip() or "object"
