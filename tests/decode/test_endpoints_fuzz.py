"""Every endpoint beside chat is total, too: damaged streams and forms, and any values in any fields, give a value."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from app.decode import Request, Response, decode_exchange
from tests.decode.endpoints import FORM, form, named_sse, sse
from tests.decode.frames import Deflater, socket_bytes
from tests.decode.mutants import Campaign, Seed, check

MUTANTS = 8_000
CODED = base64.b64encode(b"\x89PNG" + bytes(60)).decode()
UPLOAD = form(
    ("model", "m"), ("stream", "true"), ("file", ("a.mp3", "audio/mpeg", bytes(90))), ("image[]", "x")
)
STREAMS = {
    b"/v1/images/generations": sse(
        {"type": "image_generation.partial_image", "b64_json": CODED, "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": CODED, "usage": {"input_tokens": 1}},
    ),
    b"/v1/audio/speech": sse(
        {"type": "speech.audio.delta", "audio": CODED},
        {"type": "speech.audio.done", "usage": {"input_tokens": 1}},
    ),
    b"/v1/audio/transcriptions": sse(
        {"type": "transcript.text.delta", "delta": "Hi"},
        {"type": "transcript.text.segment", "text": "Hi", "speaker": "A", "start": 0, "end": 1},
        {"type": "transcript.text.done", "text": "Hi", "usage": {"type": "duration", "seconds": 1}},
    ),
    b"/v1/threads/runs": named_sse(
        ("thread.run.created", {"id": "r", "object": "thread.run", "status": "queued"}),
        (
            "thread.message.delta",
            {
                "id": "m",
                "object": "thread.message.delta",
                "delta": {"content": [{"index": 0, "type": "text", "text": {"value": "Hi"}}]},
            },
        ),
        ("thread.run.completed", {"id": "r", "object": "thread.run", "status": "completed", "usage": {}}),
        ("done", "[DONE]"),
    ),
    b"/v1/agents/sessions": sse({"type": "agent.session.turn.output_text.delta", "delta": "Hi"}),
}
SUBTITLES = b"1\n00:00:00,000 --> 00:00:02,500\nHello\n"


def seeds() -> list[Seed]:
    streamed = [
        Seed(
            Request("POST", path, content_type=FORM, body=UPLOAD),
            Response(200, "text/event-stream", None, body),
        )
        for path, body in STREAMS.items()
    ]
    plain = Seed(
        Request("POST", b"/v1/audio/translations", content_type=FORM, body=UPLOAD),
        Response(200, "text/plain", None, SUBTITLES),
    )
    events = [
        {"type": "session.created", "session": {"id": "s", "instructions": "Go"}},
        {"type": "conversation.item.added", "item": {"id": "i", "type": "message", "content": []}},
        {"type": "response.done", "response": {"id": "r", "output": [], "usage": {"input_tokens": 1}}},
    ]
    session = Seed(
        Request("GET", b"/v1/realtime", body=socket_bytes(events, is_client=True, deflater=Deflater())),
        Response(
            101,
            body=socket_bytes(events, is_client=False, deflater=Deflater()),
            extensions="permessage-deflate",
        ),
    )
    return [*streamed, plain, session]


def test_damaged_forms_streams_and_sessions_give_values_in_time() -> None:
    campaign = Campaign(seeds(), number=3)
    campaign.run(MUTANTS)
    assert not campaign.slow


ROUTES = st.sampled_from(
    """images/generations images/edits audio/speech audio/transcriptions moderations threads threads/runs
    threads/t/messages threads/t/runs/r/submit_tool_outputs conversations/c/items files batches videos
    vector_stores/v/search decisions agents/sessions realtime/client_secrets evals""".split()
)
WORDS = st.sampled_from(
    """data object id model status usage error errors last_error text segments speaker start end duration prompt image
    images mask file input results flagged categories messages content role thread tool_outputs output required_action
    submit_tool_outputs tool_calls items type b64_json url revised_prompt size name filename bytes request_counts total
    completed session agent delta deleted has_more score audio seconds created""".split()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)


@given(ROUTES, st.sampled_from(["GET", "POST", "DELETE"]), JSON, JSON)
def test_any_values_in_any_fields_of_any_endpoint_give_a_value(
    route: str, method: str, asked: object, told: object
) -> None:
    request = Request(method, f"/v1/{route}".encode(), body=json.dumps(asked).encode())
    data = json.dumps(told).encode()
    check(decode_exchange(request, Response(200, "application/json", None, data)))
    check(decode_exchange(request, Response(200, "text/event-stream", None, b"data: " + data + b"\n\n")))


def test_large_hostile_answers_take_time_in_proportion() -> None:
    delta = b'data: {"object":"thread.message.delta","id":"%d","delta":{"content":[{"index":%d,"type":"text"}]}}\n\n'
    bodies = [
        b"".join(delta % (i, 0) for i in range(30_000)),
        b"".join(delta % (0, i) for i in range(30_000)),
        b'data: {"type":"transcript.text.segment","text":"x","speaker":"A"}\n\n' * 40_000,
        b'data: {"type":"image_generation.completed","b64_json":"AAAA","usage":{"a":1}}\n\n' * 30_000,
        b'{"data":[' + b'{"object":"file"},' * 200_000 + b"1]}",
        b'{"segments":[' + b'{"text":"x","speaker":"A"},' * 100_000 + b"1]}",
    ]
    for body in bodies:
        for path in (
            b"/v1/threads/runs",
            b"/v1/audio/transcriptions",
            b"/v1/images/generations",
            b"/v1/files",
        ):
            kind = "text/event-stream" if body.startswith(b"data") else "application/json"
            check(decode_exchange(Request("POST", path, body=b"{}"), Response(200, kind, None, body)))
