"""Streams of responses fold to one response, with or without a terminal event that has it all."""

from __future__ import annotations

import pytest

from tests.decode.reading import answers, calls, decode_stream, fixture


@pytest.mark.parametrize(
    "name",
    [
        "responses_plain",
        "responses_no_event_line",
        "responses_empty_terminal_output",
        "responses_null_terminal_output",
        "responses_deltas_only",
        "responses_no_terminal",
    ],
)
def test_the_same_answer_is_read_from_every_kind_of_stream(name: str) -> None:
    decoded = decode_stream("responses", fixture(name))
    (message,) = answers(decoded)
    assert (message.role, message.text, message.reasoning) == ("assistant", "Hello", "hm")
    assert calls(message) == [("call_1", "one", '{"x":1}')]
    assert (decoded.upstream_id, decoded.model_served, decoded.service_tier) == ("resp_1", "m-1", "default")
    if name == "responses_no_terminal":
        assert (decoded.capture_status, decoded.finish_reason) == ("partial", "in_progress")
        assert decoded.usage.source == "absent"
    else:
        assert (decoded.capture_status, decoded.finish_reason) == ("decoded", "completed")
        assert (decoded.usage.input_tokens, decoded.usage.cached_tokens, decoded.usage.output_tokens) == (
            3,
            1,
            2,
        )


def test_an_answer_that_was_cut_short_says_so() -> None:
    decoded = decode_stream("responses", fixture("responses_incomplete"))
    assert (decoded.finish_reason, decoded.capture_status) == ("incomplete", "decoded")
    assert answers(decoded)[0].text == "Hel"


def test_a_failed_response_has_its_error() -> None:
    decoded = decode_stream("responses", fixture("responses_failed"))
    assert (decoded.finish_reason, decoded.error_code) == ("failed", "server_error")
    assert (decoded.error_message, decoded.response_preview) == ("It broke", "It broke")


def test_an_error_event_ends_a_stream() -> None:
    decoded = decode_stream("responses", fixture("responses_error_event"))
    assert (decoded.error_type, decoded.error_code) == (None, "rate_limit_exceeded")
    assert (decoded.error_message, decoded.capture_status) == ("Too fast", "decoded")


def test_items_without_any_index_are_told_apart_by_their_ids() -> None:
    body = (
        b'data: {"type":"response.output_text.delta","item_id":"m1","delta":"Hel"}\n\n'
        b'data: {"type":"response.function_call_arguments.delta","item_id":"f1","delta":"{}"}\n\n'
        b'data: {"type":"response.output_text.delta","item_id":"m1","delta":"lo"}\n\n'
        b'data: {"type":"response.refusal.delta","item_id":"m1","delta":"no"}\n\n'
        b'data: {"type":"response.completed","response":{"status":"completed"}}\n\n'
    )
    (message,) = answers(decode_stream("responses", body))
    assert (message.text, calls(message)) == ("Hello", [(None, None, "{}")])
    assert message.refusal == "no"


def test_a_whole_response_as_the_only_event_is_read() -> None:
    body = b'data: {"object":"response","id":"r","status":"completed","output":[]}\n\n'
    decoded = decode_stream("responses", body)
    assert (decoded.upstream_id, decoded.finish_reason, decoded.capture_status) == (
        "r",
        "completed",
        "decoded",
    )


def test_items_beyond_the_bound_are_left_out_and_flagged() -> None:
    event = b'data: {"type":"response.output_text.delta","item_id":"m%d","delta":"x"}\n\n'
    decoded = decode_stream("responses", b"".join(event % i for i in range(5000)))
    assert len(answers(decoded)[0].text or "") == 4096
    assert decoded.text_flags == ("cut",)


def test_an_event_that_comes_after_the_last_undoes_nothing() -> None:
    last = (
        b'data: {"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":1},'
        b'"output":[{"type":"message","content":[{"type":"output_text","text":"Hello"}]}]}}\n\n'
    )
    late = (
        b'data: {"type":"response.in_progress","response":{"id":"r","status":"in_progress","output":[]}}\n\n'
    )
    decoded = decode_stream("responses", last + late)
    assert (answers(decoded)[0].text, decoded.finish_reason, decoded.upstream_id) == (
        "Hello",
        "completed",
        "r",
    )
    assert decoded.usage.input_tokens == 1
