"""Sessions over a WebSocket: what was said comes out in order, with its usage counted once."""

from __future__ import annotations

import base64
import hashlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decode import Decoded, Request, Response, decode_exchange, decode_session
from tests.decode.frames import Deflater, frame, socket_bytes
from tests.decode.mutants import check, damage

SOUND = base64.b64encode(b"\x01\x02" * 600).decode()
GA = ("response.output_audio", "response.output_audio_transcript", "output_audio", "conversation.item.added")
BETA = ("response.audio", "response.audio_transcript", "audio", "conversation.item.created")


def session(
    client: list,
    server: list,
    path: str = "/v1/realtime?model=gpt-realtime",
    extensions: str | None = None,
) -> Decoded:
    place, _, query = path.partition("?")
    deflaters = [Deflater() if extensions else None for _ in range(2)]
    return decode_exchange(
        Request(
            "GET",
            place.encode(),
            query.encode(),
            body=socket_bytes(client, is_client=True, deflater=deflaters[0]),
        ),
        Response(
            101,
            body=socket_bytes(server, is_client=False, deflater=deflaters[1]),
            extensions=extensions,
        ),
    )


def said(decoded: Decoded) -> list[tuple[str, str, str | None]]:
    return [(message.direction, message.role, message.text) for message in decoded.messages]


def usage(read: int, written: int, audio: int = 0) -> dict:
    return {
        "total_tokens": read + written,
        "input_tokens": read,
        "output_tokens": written,
        "input_token_details": {"text_tokens": read - audio, "audio_tokens": audio, "cached_tokens": 1},
        "output_token_details": {"text_tokens": written, "audio_tokens": 0},
    }


def spoken_turn(
    names: tuple[str, str, str, str], item: str, response: str, heard: str, words: str
) -> list[dict]:
    """What a server sends for one turn with voice detection; the transcript of the question comes last."""
    audio, transcript, part, added = names
    answer = {
        "id": f"{item}_answer",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": part, "transcript": words}],
    }
    begun = {**answer, "status": "in_progress", "content": []}
    place = {"response_id": response, "item_id": answer["id"], "output_index": 0, "content_index": 0}
    return [
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 500, "item_id": item},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 2000, "item_id": item},
        {"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": None},
        {
            "type": added,
            "item": {
                "id": item,
                "type": "message",
                "role": "user",
                "status": "completed",
                "content": [{"type": "input_audio", "transcript": None}],
            },
        },
        {"type": "response.created", "response": {"id": response, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "response_id": response, "output_index": 0, "item": begun},
        {"type": added, "item": begun},
        *[{"type": f"{transcript}.delta", **place, "delta": piece} for piece in words.split(" ")],
        {"type": f"{audio}.delta", **place, "delta": SOUND},
        {"type": f"{audio}.delta", **place, "delta": SOUND},
        {
            "type": "conversation.item.input_audio_transcription.delta",
            "item_id": item,
            "content_index": 0,
            "delta": heard[:2],
        },
        {"type": f"{transcript}.done", **place, "transcript": words},
        {"type": "response.output_item.done", "response_id": response, "output_index": 0, "item": answer},
        {
            "type": "response.done",
            "response": {
                "id": response,
                "object": "realtime.response",
                "status": "completed",
                "output": [answer],
                "usage": usage(10, 5, 8),
            },
        },
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": item,
            "content_index": 0,
            "transcript": heard,
            "usage": {"type": "tokens", "input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
        },
        {"type": "rate_limits.updated", "rate_limits": []},
    ]


def created(instructions: str = "Be brief.") -> list[dict]:
    about = {
        "id": "sess_1",
        "model": "gpt-realtime-2025",
        "instructions": "Default.",
        "audio": {"input": {"transcription": {"model": "whisper-1"}}},
    }
    return [
        {"type": "session.created", "session": about},
        {"type": "session.updated", "session": {**about, "instructions": instructions}},
    ]


@pytest.mark.parametrize("names", [GA, BETA], ids=["GA", "beta"])
@pytest.mark.parametrize("extensions", [None, "permessage-deflate"])
def test_a_spoken_session_is_a_conversation_in_order(names: tuple, extensions: str | None) -> None:
    client = [
        {"type": "session.update", "session": {"instructions": "Be brief."}},
        {"type": "input_audio_buffer.append", "audio": SOUND},
    ]
    server = [
        *created(),
        *spoken_turn(names, "item_1", "resp_1", "What time is it?", "It is noon."),
        *spoken_turn(names, "item_2", "resp_2", "Thanks!", "You are welcome."),
    ]
    decoded = session(client, server, extensions=extensions)
    assert said(decoded) == [
        ("request", "system", "Be brief."),
        ("request", "user", "What time is it?"),
        ("response", "assistant", "It is noon."),
        ("request", "user", "Thanks!"),
        ("response", "assistant", "You are welcome."),
    ]
    sound = base64.b64decode(SOUND) * 2
    assert decoded.messages[1].parts == [{"type": "audio", "transcript": "What time is it?", "seconds": 1.5}]
    assert decoded.messages[2].parts == [
        {
            "type": "audio",
            "transcript": "It is noon.",
            "size_bytes": len(sound),
            "sha256": hashlib.sha256(sound).hexdigest(),
        }
    ]
    assert (decoded.capture_status, decoded.route, decoded.stream) == ("decoded", "realtime", False)
    assert (decoded.model_asked, decoded.model_served) == ("gpt-realtime", "gpt-realtime-2025")
    assert (decoded.upstream_id, decoded.finish_reason) == ("sess_1", "completed")
    assert (decoded.request_preview, decoded.response_preview) == ("Thanks!", "2 responses: It is noon.")


def test_usage_is_the_sum_of_responses_each_counted_once() -> None:
    turn = spoken_turn(GA, "item_1", "resp_1", "One", "Two")
    decoded = session([], [*created(), *turn, *turn, *spoken_turn(GA, "item_2", "resp_2", "Three", "Four")])
    assert (decoded.usage.input_tokens, decoded.usage.output_tokens, decoded.usage.total_tokens) == (
        20,
        10,
        30,
    )
    assert (decoded.usage.input_audio_tokens, decoded.usage.cached_tokens) == (16, 2)
    beside = json.loads(decoded.usage.verbatim or "")["input_audio_transcription"]
    assert (beside["model"], beside["input_tokens"], beside["output_tokens"]) == ("whisper-1", 21, 6)


def item_event(identity: str, role: str, text: str, kind: str = "conversation.item.added") -> dict:
    content = [{"type": "input_text", "text": text}]
    return {"type": kind, "item": {"id": identity, "type": "message", "role": role, "content": content}}


def test_what_a_client_sent_stands_where_the_server_took_it_up() -> None:
    picture = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    client: list[dict] = [
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": picture},
                    {"type": "input_audio", "audio": SOUND},
                ],
            },
        },
        {"type": "response.create"},
        {
            "type": "conversation.item.create",
            "item": {"id": "out_1", "type": "function_call_output", "call_id": "call_1", "output": "42"},
        },
        {"type": "response.create", "response": {"instructions": "Now answer."}},
    ]
    place = {"response_id": "r1", "item_id": "fc", "output_index": 0}
    result = {"id": "out_1", "type": "function_call_output", "call_id": "call_1", "output": "42"}
    arguments = "response.function_call_arguments.delta"
    call = {"id": "fc", "type": "function_call", "name": "look", "call_id": "call_1", "arguments": '{"a":1}'}
    echo = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image"}, {"type": "input_audio"}]
    server = [
        *created(),
        {"type": "conversation.item.added", "item": {"id": "i1", "type": "message", "role": "user", "content": echo}},
        {"type": "conversation.item.done", "item": {"id": "i1", "type": "message", "role": "user", "content": echo}},
        {"type": "response.created", "response": {"id": "r1"}},
        {"type": "response.output_item.added", **place, "item": {**call, "arguments": ""}},
        {"type": "conversation.item.added", "item": {**call, "arguments": "", "status": "in_progress"}},
        {"type": arguments, **place, "delta": '{"a":'},
        {"type": arguments, **place, "delta": "1}"},
        {"type": "response.done", "response": {"id": "r1", "status": "completed", "usage": usage(3, 4)}},
        {"type": "conversation.item.added", "item": result},
        {"type": "response.created", "response": {"id": "r2"}},
        {"type": "response.output_text.delta", "response_id": "r2", "output_index": 0, "delta": "A dot."},
        {"type": "response.done", "response": {"id": "r2", "status": "completed", "output": [], "usage": usage(5, 6)}},
    ]  # fmt: skip
    decoded = session(client, server)
    assert said(decoded) == [
        ("request", "system", "Be brief."),
        ("request", "user", "What is this?"),
        ("response", "assistant", None),
        ("request", "tool", "42"),
        ("request", "system", "Now answer."),
        ("response", "assistant", "A dot."),
    ]
    kinds = [
        (part["type"], part.get("size_bytes")) for part in decoded.messages[1].parts if isinstance(part, dict)
    ]
    assert kinds == [("text", None), ("image", 4), ("audio", 1200)]
    assert [(call.id, call.name, call.arguments) for call in decoded.messages[2].tool_calls] == [
        ("call_1", "look", '{"a":1}')
    ]
    assert (decoded.messages[3].tool_call_id, decoded.usage.total_tokens) == ("call_1", 18)


def test_a_server_that_confirms_no_items_leaves_them_before_their_responses() -> None:
    def asked(text: str) -> list[dict]:
        return [item_event("", "user", text, "conversation.item.create"), {"type": "response.create"}]

    def told(identity: str, text: str) -> list[dict]:
        return [
            {"type": "response.created", "response": {"id": identity}},
            {"type": "response.text.done", "response_id": identity, "text": text},
            {"type": "response.done", "response": {"id": identity, "status": "completed"}},
        ]

    client = [{"type": "session.update", "session": {"instructions": "Go."}}, *asked("One"), *asked("Three")]
    decoded = session(client, [*told("a", "Two"), *told("b", "Four")])
    assert [text for _, _, text in said(decoded)] == ["Go.", "One", "Two", "Three", "Four"]


def test_responses_that_overlap_keep_apart() -> None:
    server = [
        {"type": "response.created", "response": {"id": "a"}},
        {"type": "response.created", "response": {"id": "b", "conversation_id": None}},
        {"type": "response.output_text.delta", "response_id": "a", "output_index": 0, "delta": "One "},
        {"type": "response.output_text.delta", "response_id": "b", "output_index": 0, "delta": "other"},
        {"type": "response.output_text.delta", "response_id": "a", "output_index": 0, "delta": "voice"},
        {"type": "response.done", "response": {"id": "b", "status": "completed"}},
        {"type": "response.done", "response": {"id": "a", "status": "cancelled"}},
    ]
    assert said(session([], server)) == [
        ("response", "assistant", "One voice"),
        ("response", "assistant", "other"),
    ]


def test_several_responses_of_the_responses_api_share_a_socket() -> None:
    def told(identity: str, text: str, tokens: int) -> list[dict]:
        item = {"id": f"m_{identity}", "type": "message", "role": "assistant"}
        done = {**item, "content": [{"type": "output_text", "text": text}]}
        about = {
            "id": identity,
            "model": "gpt-5",
            "service_tier": "flex",
            "status": "completed",
            "output": [done],
        }
        return [
            {"type": "response.created", "response": {"id": identity, "status": "in_progress"}},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_text.delta", "output_index": 0, "item_id": item["id"], "delta": text},
            {"type": "response.completed", "response": {**about, "usage": usage(tokens, 1)}},
        ]

    client = [
        {"type": "response.create", "model": "gpt-5", "instructions": "Go.", "input": "One", "user": "u"},
        {"type": "response.create", "model": "gpt-5", "input": "refused"},
        {"type": "response.create", "model": "gpt-5", "previous_response_id": "resp_1", "input": "Three"},
    ]
    refusal = {
        "type": "error",
        "status": 400,
        "error": {"code": "previous_response_not_found", "message": "No."},
    }
    decoded = session(
        client, [*told("resp_1", "Two", 3), refusal, *told("resp_2", "Four", 4)], "/v1/responses"
    )
    assert said(decoded) == [
        ("request", "system", "Go."),
        ("request", "user", "One"),
        ("response", "assistant", "Two"),
        ("request", "user", "refused"),
        ("request", "user", "Three"),
        ("response", "assistant", "Four"),
    ]
    assert (decoded.model_asked, decoded.model_served, decoded.service_tier) == ("gpt-5", "gpt-5", "flex")
    assert (decoded.upstream_id, decoded.user, decoded.usage.total_tokens) == ("resp_2", "u", 9)
    assert (decoded.error_code, decoded.route) == ("previous_response_not_found", "responses")


def test_errors_are_told_and_the_session_goes_on() -> None:
    error = {"type": "invalid_request_error", "code": "invalid_value", "message": "No.", "event_id": "x"}
    failed = {
        "id": "r",
        "status": "failed",
        "status_details": {"error": {"type": "server_error", "code": "boom"}},
    }
    server = [
        {"type": "error", "event_id": "e", "error": error},
        {"type": "invented.tomorrow", "value": [1]},
        *spoken_turn(GA, "i", "a", "Hello", "Hi."),
    ]
    decoded = session([], server)
    assert (decoded.error_code, decoded.error_message) == ("invalid_value", "No.")
    assert decoded.response_preview == "1 response: Hi."
    decoded = session([], [{"type": "response.done", "response": failed}])
    assert (decoded.error_code, decoded.finish_reason) == ("boom", "failed")


def test_a_session_that_only_transcribes_tells_what_it_heard() -> None:
    server = [
        {"type": "transcription_session.created", "session": {"id": "sess_t"}},
        {"type": "input_audio_buffer.committed", "item_id": "i"},
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "i",
            "transcript": "Hello there",
            "usage": {"type": "duration", "seconds": 3},
        },
    ]
    decoded = session([], server, "/v1/realtime?intent=transcription")
    assert (said(decoded), decoded.upstream_id) == ([("request", "user", "Hello there")], "sess_t")


def test_translations_tell_what_each_side_said() -> None:
    def heard(side: str, *pieces: str) -> list[dict]:
        return [{"type": f"session.{side}_transcript.delta", "delta": piece} for piece in pieces]

    server = [
        {"type": "session.created", "session": {"id": "s", "model": "gpt-realtime-translate"}},
        *heard("input", "Gu", "ten Tag"),
        *heard("output", "Good ", "day"),
        *heard("input", "Danke"),
        {"type": "session.usage.updated", "usage": {"seconds": 4.5}},
        {"type": "session.usage.updated", "usage": {"seconds": 9.5}},
        {"type": "session.closed"},
    ]
    decoded = session([], server, "/v1/realtime/translations?model=gpt-realtime-translate")
    assert said(decoded) == [
        ("request", "user", "Guten Tag"),
        ("response", "assistant", "Good day"),
        ("request", "user", "Danke"),
    ]
    assert decoded.usage.detail.audio_seconds == 9.5


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/openai/realtime?api-version=2025&deployment=my-realtime", "my-realtime"),
        ("/v1/realtime?call_id=c&model=gpt%2Fx", "gpt/x"),
        ("/v1/realtime?call_id=c", None),
    ],
)
def test_the_model_is_named_in_the_query(path: str, model: str | None) -> None:
    assert session([], created(), path).model_asked == model


def test_a_session_says_how_far_it_was_read() -> None:
    client = socket_bytes([{"type": "response.create"}], is_client=True)
    server = socket_bytes(created(), is_client=False)
    request = Request("GET", b"/v1/realtime")

    def status(asked: bytes | None, told: bytes | None, extensions: str | None = None) -> str:
        response = Response(101, extensions=extensions)
        halves = [None if half is None else [half] for half in (asked, told)]
        return decode_session(request, response, *halves).capture_status

    assert status(client, server) == "decoded"
    assert status(client, b"") == "decoded"
    assert status(client, server[:-9]) == "partial"
    assert status(client, frame(b"no JSON") + server) == "partial"
    assert status(client, frame(b"\x00", 2) + server) == "decoded"
    assert status(None, server) == "too_large"
    assert status(client, server, "bzip") == "unreadable"
    elsewhere = Request("GET", b"/v1/new/socket", body=client)
    assert decode_exchange(elsewhere, Response(101, body=server)).capture_status == "opaque"


def test_a_session_is_the_same_in_any_pieces() -> None:
    client = socket_bytes([item_event("", "user", "One", "conversation.item.create")], is_client=True)
    server = socket_bytes([*created(), *spoken_turn(GA, "i", "r", "é€😀", "ü")], is_client=False)
    request, response = Request("GET", b"/v1/realtime"), Response(101)
    whole = decode_session(request, response, [client], [server])
    for step in (1, 7, 1000):
        pieces = [server[start : start + step] for start in range(0, len(server), step)]
        assert decode_session(request, response, [client], pieces) == whole


def test_damaged_sessions_give_a_value() -> None:
    chance = random.Random(5)
    client = socket_bytes(
        [item_event("a", "user", "One", "conversation.item.create"), {"type": "response.create"}],
        is_client=False,
    )
    server = socket_bytes([*created(), *spoken_turn(BETA, "i", "r", "One", "Two")], is_client=False)
    for _ in range(1_500):
        halves = damage(client, server, chance), damage(server, client, chance)
        check(decode_exchange(Request("GET", b"/v1/realtime", body=halves[0]), Response(101, body=halves[1])))


KINDS = st.sampled_from(
    """session.created session.updated session.update response.create response.created response.done
    response.output_item.added response.output_item.done response.audio.delta response.text.delta
    conversation.item.create conversation.item.added input_audio_buffer.committed error response.event
    input_audio_buffer.speech_started input_audio_buffer.speech_stopped session.input_transcript.delta
    conversation.item.input_audio_transcription.completed conversation.item.input_audio_transcription.delta
    session.usage.updated""".split()
)
WORDS = st.sampled_from(
    """session response item item_id response_id id usage model instructions content type role transcript audio delta
    output status error event audio_start_ms audio_end_ms content_index output_index input text""".split()
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.sampled_from(["a", "message", "audio", "\0", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=20,
)
EVENTS = st.lists(st.tuples(KINDS, st.dictionaries(WORDS, JSON, max_size=6)), max_size=8)


@given(EVENTS, EVENTS, st.sampled_from(["/v1/realtime", "/v1/responses"]))
def test_any_events_give_a_value(client: list, server: list, path: str) -> None:
    halves = [[{**fields, "type": kind} for kind, fields in events] for events in (client, server)]
    check(session(halves[0], halves[1], path))


def test_long_sessions_take_time_in_proportion() -> None:
    item = item_event("", "user", "x", "conversation.item.create")
    client = [item, {"type": "response.create"}] * 4_000
    server = [
        event
        for i in range(4_000)
        for event in (
            item_event(f"i{i}", "user", "x"),
            {"type": "response.done", "response": {"id": f"r{i}"}},
        )
    ]
    assert len(session(client, server).messages) == 4_000
