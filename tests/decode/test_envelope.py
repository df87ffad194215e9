"""Errors are found in every envelope."""

from __future__ import annotations

import pytest

from app.decode.envelope import read_envelope
from app.decode.jsonsafe import TextCleaner
from app.decode.values import ErrorInfo


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (
            {"error": {"message": "No", "type": "invalid_request_error", "param": None, "code": "bad"}},
            400,
            ErrorInfo("invalid_request_error", "bad", "No"),
        ),
        ({"error": "model not found"}, 404, ErrorInfo(None, None, "model not found")),
        ({"error": {"code": 429, "message": "Slow"}}, 200, ErrorInfo(None, "429", "Slow")),
        ([{"error": {"code": 400, "message": "No", "status": "X"}}], 400, ErrorInfo(None, "400", "No")),
        (
            {"object": "error", "message": "No", "type": "BadRequest", "code": 400},
            400,
            ErrorInfo("BadRequest", "400", "No"),
        ),
        ({"detail": "Not Found"}, 404, ErrorInfo(None, None, "Not Found")),
        (
            {"detail": [{"loc": ["body"], "msg": "x"}]},
            422,
            ErrorInfo(None, None, '[{"loc":["body"],"msg":"x"}]'),
        ),
        ({"statusCode": 401, "message": "Denied"}, 401, ErrorInfo(None, None, "Denied")),
        ("plain", 500, ErrorInfo(None, None, "plain")),
        ({"error": None, "id": "x"}, 200, None),
        ({"message": "hi"}, 200, None),
        ({}, 500, None),
        (7, 500, None),
        ([], 500, None),
    ],
)
def test_an_error_is_read_from_any_envelope(body: object, status: int, error: ErrorInfo | None) -> None:
    assert read_envelope(body, status, TextCleaner()) == error


def test_long_messages_are_cut() -> None:
    error = read_envelope({"error": {"message": "x" * 9000}}, 400, TextCleaner())
    assert error is not None
    assert error.message == "x" * 500
