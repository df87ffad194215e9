"""Objects of all other endpoints are told in a few words, and nothing that is known is opaque."""

from __future__ import annotations

import json

import pytest

from app.decode import Request, Response, decode_exchange
from app.decode.route import _ENDPOINTS  # the closed set that this must hold for
from tests.decode.endpoints import call, form, named_sse, said, sse

FILE = {"id": "file-1", "object": "file", "bytes": 2_100_000, "filename": "report.pdf", "status": "processed"}
BATCH = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "status": "completed",
    "request_counts": {"total": 12, "completed": 10, "failed": 2},
}


@pytest.mark.parametrize(
    ("method", "path", "told", "preview"),
    [
        ("GET", "files/f", FILE, "file report.pdf, 2.1 MB, processed"),
        ("DELETE", "files/f", {"id": "file-1", "object": "file", "deleted": True}, "file deleted"),
        ("GET", "files", {"object": "list", "data": [FILE], "has_more": True}, "1 file, more follow: report.pdf"),
        ("GET", "models", {"object": "list", "data": [{"id": "a", "object": "model"}] * 3}, "3 models"),
        ("GET", "models", [{"id": "a", "object": "model"}] * 2, "2 models"),
        ("GET", "models/gpt-4o", {"id": "gpt-4o", "object": "model"}, "model gpt-4o"),
        ("GET", "batches/b", BATCH, "batch /v1/chat/completions, completed, 10 of 12 done, 2 failed"),
        ("GET", "batches", {"object": "list", "data": [BATCH] * 2}, "2 batches"),
        (
            "POST",
            "fine_tuning/jobs",
            {"object": "fine_tuning.job", "model": "gpt-4o", "status": "validating_files", "error": {}},
            "fine tuning job gpt-4o, validating files",
        ),
        (
            "GET",
            "vector_stores/v",
            {"id": "v", "object": "vector_store", "name": "Docs", "status": "completed", "usage_bytes": 1_036},
            "vector store Docs, 1.0 KB, completed",
        ),
        (
            "POST",
            "vector_stores/v/search",
            {
                "object": "vector_store.search_results.page",
                "data": [{"filename": "a.pdf", "score": 0.9}, {"filename": "b.txt", "score": 0.8}],
            },
            "2 results: a.pdf, b.txt",
        ),
        ("GET", "videos/v", {"object": "video", "status": "queued", "progress": 37}, "video, queued, 37 %"),
        ("GET", "evals", {"object": "list", "data": []}, "0 items"),
        ("POST", "uploads", {"object": "upload", "filename": "big.bin", "bytes": 8 * 10**9}, "upload big.bin, 8.0 GB"),
        (
            "POST",
            "realtime/client_secrets",
            {"value": "ek_1", "session": {"object": "realtime.session", "model": "gpt-realtime"}},
            "realtime session gpt-realtime",
        ),
        ("POST", "rerank", {"results": [{"index": 0, "relevance_score": 0.5}]}, "1 result"),
        ("POST", "tokenize", {"tokens": [1, 2, 3], "count": 3}, "3 tokens"),
        ("POST", "decisions", {"id": "d", "object": "decision", "answers": [{"type": "predicate"}]}, "1 answer"),
        ("DELETE", "responses/r", None, None),
        ("POST", "realtime/calls/c/hangup", {}, None),
    ],
)  # fmt: skip
def test_an_object_is_told_in_a_few_words(method: str, path: str, told: object, preview: str | None) -> None:
    decoded = call(path, told=told, method=method)
    assert (decoded.capture_status, decoded.response_preview) == ("decoded", preview)
    assert not decoded.messages


def test_status_model_and_usage_of_an_object_are_read() -> None:
    told = {
        "id": "d",
        "object": "decision",
        "model": "m",
        "status": "completed",
        "usage": {"input_tokens": 5},
    }
    decoded = call("decisions", {"model": "m"}, told)
    assert (decoded.finish_reason, decoded.model_served, decoded.usage.input_tokens) == ("completed", "m", 5)
    assert call("decisions/d", told=told, method="GET").usage.source == "absent"


@pytest.mark.parametrize(
    "told",
    [
        {
            **BATCH,
            "status": "failed",
            "errors": {"data": [{"code": "bad", "message": "No."}, {"code": "other"}]},
        },
        {"object": "fine_tuning.job", "status": "failed", "error": {"code": "bad", "message": "No."}},
        {"object": "vector_store.file", "status": "failed", "last_error": {"code": "bad", "message": "No."}},
    ],
)
def test_why_an_object_failed_is_its_error(told: dict) -> None:
    decoded = call("batches/b", told=told, method="GET")
    assert (decoded.error_code, decoded.error_message, decoded.response_preview) == ("bad", "No.", "No.")


def test_an_upload_tells_its_file_and_not_what_is_in_it() -> None:
    lines = (
        b'{"custom_id": "1", "body": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}}\n' * 9
    )
    body = form(("purpose", "batch"), ("file", ("in.jsonl", "application/jsonl", lines)))
    decoded = call("files", body, FILE)
    assert decoded.request_preview == "file in.jsonl, 828 B, for batch"
    assert (decoded.messages, decoded.capture_status, decoded.upstream_id) == ([], "decoded", "file-1")


@pytest.mark.parametrize(
    ("path", "asked", "preview"),
    [
        ("vector_stores/v/search", {"query": "Where?"}, "Where?"),
        ("vector_stores/v/search", {"query": ["Where?", "When?"]}, "Where?"),
        ("assistants", {"model": "m", "name": "Helper"}, "Helper"),
        ("batches", {"input_file_id": "file-1", "endpoint": "/v1/embeddings"}, "/v1/embeddings"),
        (
            "realtime/client_secrets",
            {"session": {"type": "realtime", "model": "gpt-realtime"}},
            "gpt-realtime",
        ),
        ("threads/t", {"metadata": {"a": "b"}}, None),
    ],
)
def test_a_request_tells_what_it_is_about(path: str, asked: dict, preview: str | None) -> None:
    assert call(path, asked, {"id": "x"}).request_preview == preview


def test_the_model_of_a_session_that_is_made_is_known() -> None:
    asked = {"session": {"type": "realtime", "model": "gpt-realtime"}}
    assert call("realtime/client_secrets", asked, {"value": "v"}).model_asked == "gpt-realtime"


@pytest.mark.parametrize(
    "body", [b'{"id":"not-ours","usage":{"input_tokens":9},"error":"x"}', b"\xff\x00" * 9, b""]
)
def test_a_file_that_is_given_back_is_never_read_as_an_answer(body: bytes) -> None:
    decoded = call("files/f/content", told=body, method="GET", kind="application/octet-stream")
    assert (decoded.upstream_id, decoded.usage.source, decoded.error_message) == (None, "absent", None)
    assert (decoded.capture_status, decoded.messages) == ("decoded", [])
    missing = call("files/f/content", told={"error": {"message": "No such file"}}, method="GET", status=404)
    assert missing.error_message == "No such file"


def test_moderations_tell_what_was_flagged() -> None:
    result = {"flagged": True, "categories": {"violence": True, "hate": True, "sexual": False}}
    told = {"id": "modr-1", "model": "omni", "results": [result, {"flagged": False, "categories": {}}]}
    decoded = call("moderations", {"input": ["a", "b"]}, told)
    assert said(decoded) == [("request", "user", "a"), ("request", "user", "b")]
    assert decoded.response_preview == "1 of 2 flagged: violence, hate"
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]
    decoded = call("moderations", {"input": parts}, {**told, "results": [result]})
    assert decoded.messages[0].parts[1] == {"type": "image", "url": "https://x/y.png"}
    assert decoded.response_preview == "flagged: violence, hate"


def test_an_agents_stream_is_its_text_and_its_usage() -> None:
    session = {"id": "sess_1", "status": "in_progress"}
    usage = {"input_tokens": 3, "output_tokens": 4}
    body = sse(
        {"type": "agent.session.created", "session": session},
        {"type": "agent.session.turn.output_text.delta", "delta": "Hel"},
        {"type": "agent.session.turn.output_text.delta", "delta": "lo"},
        {"type": "agent.session.turn.completed", "turn": {}, "usage": usage},
    )
    decoded = call(
        "agents/sessions", {"agent": {"model": "gpt-5"}, "input": "Hi"}, body, kind="text/event-stream"
    )
    assert said(decoded) == [("response", "assistant", "Hello")]
    assert (decoded.upstream_id, decoded.model_asked, decoded.usage.output_tokens) == ("sess_1", "gpt-5", 4)
    body = named_sse(("fine-tune", {"object": "fine-tune-event", "message": "x"}))
    assert (
        call("fine-tunes/f/events", told=body, method="GET", kind="text/event-stream").response_preview
        == "stream, 1 event"
    )


def test_no_known_endpoint_is_opaque() -> None:
    told = json.dumps({"id": "x", "object": "thing"}).encode()
    for endpoint in _ENDPOINTS.split():
        path = ("/v1/" + endpoint.replace("{id}", "abc")).encode()
        for method in ("GET", "POST", "DELETE"):
            decoded = decode_exchange(
                Request(method, path, body=b"{}"), Response(200, "application/json", None, told)
            )
            assert decoded.capture_status != "opaque", (method, endpoint)


def test_damaged_json_is_unreadable() -> None:
    assert call("files/f", told=b'{"id":', method="GET").capture_status == "unreadable"
    assert (
        call("files/f", told=b"<html>", method="GET", kind="text/html").response_preview == "text/html, 6 B"
    )
