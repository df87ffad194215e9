"""Embeddings are told by their number and size; the numbers stay in the bytes."""

from __future__ import annotations

import base64

import pytest

from tests.decode.reading import decode_whole


@pytest.mark.parametrize(
    ("data", "preview"),
    [
        ([{"embedding": [0.1] * 3}], "1 embedding of 3 dimensions"),
        ([{"embedding": base64.b64encode(bytes(4 * 1536)).decode()}] * 2, "2 embeddings of 1536 dimensions"),
        ([], "0 embeddings"),
        ([None], "1 embedding"),
        (None, "0 embeddings"),
    ],
)
def test_vectors_are_counted(data: object, preview: str) -> None:
    decoded = decode_whole(
        "embeddings", {"model": "e", "input": ["a", "b"]}, {"object": "list", "data": data}
    )
    assert decoded.response_preview == preview
    assert [message.text for message in decoded.messages] == ["a", "b"]
    assert (decoded.request_preview, decoded.capture_status) == ("b", "decoded")


def test_usage_of_embeddings_is_input_alone() -> None:
    answer = {"data": [], "model": "e-1", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    decoded = decode_whole("embeddings", {"input": "a"}, answer)
    assert (decoded.usage.input_tokens, decoded.usage.output_tokens, decoded.model_served) == (8, None, "e-1")
