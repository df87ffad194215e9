"""Streams of chat and legacy completions fold to one message, with each upstream's habits."""

from __future__ import annotations

import json

import pytest

from tests.decode.reading import answers, calls, decode_stream, fixture


@pytest.mark.parametrize(
    "name",
    [
        "chat_plain",
        "chat_perplexity_cumulative",
        "chat_groq_usage",
        "chat_ai21_crlf_no_object",
        "chat_gpustack_no_done",
        "chat_mistral_typed_parts",
        "chat_deepseek_reasoning",
        "chat_openrouter_reasoning",
        "chat_glued_events",
        "chat_single_newlines",
        "chat_no_last_blank_line",
        "chat_whole_answer_as_event",
    ],
)
def test_the_same_words_and_usage_are_read_from_every_kind_of_stream(name: str) -> None:
    decoded = decode_stream("chat", fixture(name))
    (message,) = answers(decoded)
    assert (message.role, message.text, message.finish_reason) == ("assistant", "Hello", "stop")
    assert (decoded.usage.input_tokens, decoded.usage.output_tokens, decoded.usage.total_tokens) == (3, 2, 5)
    assert (decoded.capture_status, decoded.stream, decoded.response_preview) == ("decoded", True, "Hello")


def test_the_envelope_of_a_stream_is_read() -> None:
    decoded = decode_stream("chat", fixture("chat_plain"))
    assert (decoded.upstream_id, decoded.model_served) == ("chatcmpl-1", "m-1")
    assert (decoded.service_tier, decoded.finish_reason) == ("default", "stop")


def test_first_chunks_without_choices_and_chunks_without_delta_are_passed_over() -> None:
    decoded = decode_stream("chat", fixture("chat_azure_empty_first_choices"))
    assert (decoded.upstream_id, decoded.model_served) == ("chatcmpl-1", "m-1")
    assert answers(decoded)[0].text == "Hello"
    assert decoded.usage.source == "absent"


@pytest.mark.parametrize(
    "name",
    [
        "tools_openai_parallel",
        "tools_ollama_one_index",
        "tools_mistral_no_index",
        "tools_gemini_no_index_in_pieces",
        "tools_index_gap",
        "tools_index_shift",
        "tools_nebius_last_piece",
        "tools_kimi_name_repeated",
        "tools_vllm_new_id_each_chunk",
        "tools_arguments_as_object",
        "tools_custom",
    ],
)
def test_two_tool_calls_are_two_however_they_are_numbered(name: str) -> None:
    decoded = decode_stream("chat", fixture(name))
    (message,) = answers(decoded)
    assert calls(message) == [("a", "one", '{"x":1}'), ("b", "two", "{}")]
    assert (message.text, message.finish_reason) == (None, "tool_calls")
    assert decoded.response_preview == "one(), two()"


def test_a_legacy_function_call_is_a_tool_call_without_id() -> None:
    (message,) = answers(decode_stream("chat", fixture("function_call_legacy")))
    assert calls(message) == [(None, "one", '{"x":1}')]


@pytest.mark.parametrize(
    "name", ["chat_mistral_typed_parts", "chat_deepseek_reasoning", "chat_openrouter_reasoning"]
)
def test_thoughts_are_kept_apart_from_words(name: str) -> None:
    assert answers(decode_stream("chat", fixture(name)))[0].reasoning == "hm"


def test_typed_parts_are_joined_where_they_are_neighbours() -> None:
    (message,) = answers(decode_stream("chat", fixture("chat_mistral_typed_parts")))
    assert message.parts == [
        {"type": "reasoning", "text": "hm"},
        {"type": "text", "text": "Hello"},
    ]


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [("chat_openrouter_error", None, "502"), ("chat_error_event", "server_error", "502")],
)
def test_an_error_inside_a_stream_is_told_beside_what_was_said(name: str, kind: str, code: str) -> None:
    decoded = decode_stream("chat", fixture(name))
    assert (decoded.error_type, decoded.error_code) == (kind, code)
    assert decoded.error_message == "Provider went away"
    assert answers(decoded)[0].text == "Hel"
    assert decoded.capture_status == "decoded"


def test_several_choices_are_several_messages() -> None:
    decoded = decode_stream("chat", fixture("chat_two_choices"))
    said = [(message.choice, message.text, message.finish_reason) for message in answers(decoded)]
    assert said == [(0, "Hello", "stop"), (1, "Bonjour", "length")]


def test_a_refusal_is_no_text() -> None:
    decoded = decode_stream("chat", fixture("chat_refusal"))
    (message,) = answers(decoded)
    assert (message.text, message.refusal, decoded.response_preview) == (None, "I won't", "I won't")


def test_a_character_split_over_two_chunks_is_whole_and_nul_is_replaced() -> None:
    decoded = decode_stream("chat", fixture("chat_split_surrogates"))
    assert answers(decoded)[0].text == "Hello 😀�"
    assert decoded.text_flags == ("nul",)


def test_legacy_completions_fold_to_one_text() -> None:
    decoded = decode_stream("completions", fixture("completions"))
    (message,) = answers(decoded)
    assert (message.text, message.finish_reason, decoded.usage.total_tokens) == ("Hello", "length", 5)


@pytest.mark.parametrize("kind", ["chat", "completions", "responses"])
def test_a_stream_cut_anywhere_is_partial_unless_all_was_said(kind: str) -> None:
    body = fixture({"chat": "chat_plain", "completions": "completions", "responses": "responses_plain"}[kind])
    whole = decode_stream(kind, body)
    for point in range(len(body)):
        cut = decode_stream(kind, body[:point], complete=False)
        text = "".join(message.text or "" for message in answers(cut))
        assert "Hello".startswith(text), point
        if cut.capture_status == "decoded":
            assert answers(cut) == answers(whole), point
            assert cut.usage == whole.usage, point
        else:
            assert cut.capture_status == "partial", point


def test_a_stream_that_ends_without_saying_so_is_partial_even_if_http_was_whole() -> None:
    body = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
    assert decode_stream("chat", body).capture_status == "partial"
    assert decode_stream("chat", b"").capture_status == "partial"


def test_an_event_that_is_no_json_makes_it_partial_and_the_rest_is_read() -> None:
    decoded = decode_stream("chat", b"data: {nonsense\n\n" + fixture("chat_plain"))
    assert decoded.capture_status == "partial"
    assert answers(decoded)[0].text == "Hello"


def test_an_error_in_json_under_the_type_of_a_stream_is_read() -> None:
    decoded = decode_stream(
        "chat", json.dumps({"error": {"message": "No", "type": "t", "code": None}}).encode()
    )
    assert (decoded.error_type, decoded.error_message, decoded.stream) == ("t", "No", True)


def test_a_whole_message_of_reasoning_details_alone_gives_its_thoughts() -> None:
    body = (
        b'data: {"choices":[{"delta":{"reasoning_details":[{"text":"h"}]}}]}\n\n'
        b'data: {"choices":[{"delta":{"reasoning_details":[{"summary":"m"}]},"finish_reason":"stop"}]}\n\n'
    )
    assert answers(decode_stream("chat", body))[0].reasoning == "hm"


def test_spoken_answers_have_their_transcript_as_a_part() -> None:
    body = (
        b'data: {"choices":[{"delta":{"audio":{"id":"au_1","transcript":"Hel"}}}]}\n\n'
        b'data: {"choices":[{"delta":{"audio":{"data":"AAAA","transcript":"lo"}},"finish_reason":"stop"}]}\n\n'
    )
    decoded = decode_stream("chat", body)
    assert answers(decoded)[0].parts == [{"type": "audio", "id": "au_1", "transcript": "Hello"}]
    assert decoded.response_preview == "Hello"


def test_choices_and_calls_beyond_the_bounds_are_left_out_and_flagged() -> None:
    many = b"".join(b'data: {"choices":[{"index":%d,"delta":{"content":"x"}}]}\n\n' % i for i in range(1500))
    decoded = decode_stream("chat", many)
    assert (len(answers(decoded)), decoded.text_flags) == (1024, ("cut",))
    call = (
        b'data: {"choices":[{"delta":{"tool_calls":[{"index":%d,"id":"c%d","function":{"name":"f"}}]}}]}\n\n'
    )
    decoded = decode_stream("chat", b"".join(call % (i, i) for i in range(5000)))
    assert (len(answers(decoded)[0].tool_calls), decoded.text_flags) == (4096, ("cut",))


def test_pictures_and_citations_beside_the_text_are_parts() -> None:
    body = (
        b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"content":"lo","annotations":[{"type":"url_citation"}]}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"images":[{"type":"image_url","image_url":{"url":"u"}}]},'
        b'"finish_reason":"stop"}]}\n\n'
    )
    (message,) = answers(decode_stream("chat", body))
    assert message.parts == [
        {"type": "text", "text": "Hello", "annotations": [{"type": "url_citation"}]},
        {"type": "image", "url": "u"},
    ]


def test_one_tool_called_twice_without_ids_is_two_calls() -> None:
    call = (
        b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":'
        b'{"name":"f","arguments":"{\\"x\\":%d}"}}]}}]}\n\n'
    )
    (message,) = answers(decode_stream("chat", call % 1 + call % 2 + b"data: [DONE]\n\n"))
    assert calls(message) == [(None, "f", '{"x":1}'), (None, "f", '{"x":2}')]
