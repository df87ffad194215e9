"""Paths become names from a closed set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decode.route import model_in_path, route_of


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/chat/completions", "chat/completions"),
        ("/v1/chat/completions/", "chat/completions"),
        ("/v1//chat/completions", "chat/completions"),
        ("/v1/chat/completions?x=1", "chat/completions"),
        ("/v1/chat/completions/chatcmpl-1/messages", "chat/completions/{id}/messages"),
        ("/v1/responses", "responses"),
        ("/v1/responses/resp_1/input_items", "responses/{id}/input_items"),
        ("/v1/responses/compact", "responses/compact"),
        ("/v1/files/file-1/content", "files/{id}/content"),
        ("/v1/files/%7Bid%7D", "files/{id}"),
        ("/v1/files/{id}", "files/{id}"),
        ("/v1/models/ft:gpt-4o-mini:org::id", "models/{id}"),
        ("/v1/models/meta-llama/Llama-3-70b", "models/{id}"),
        ("/v1/audio/speech", "audio/speech"),
        ("/v1/threads/runs", "threads/runs"),
        ("/v1/threads/t/runs/r/submit_tool_outputs", "threads/{id}/runs/{id}/submit_tool_outputs"),
        ("/v1/vector_stores/vs/file_batches/b/files", "vector_stores/{id}/file_batches/{id}/files"),
        (
            "/v1/agents/sessions/s/subagents/a/turns/t/items",
            "agents/sessions/{id}/subagents/{id}/turns/{id}/items",
        ),
        ("/v1/fine_tuning/checkpoints/ft:x/permissions/p", "fine_tuning/checkpoints/{id}/permissions/{id}"),
        ("/v1/organization/projects/p/api_keys/k", "organization/projects/{id}/api_keys/{id}"),
        ("/v1/organization/usage/completions", "organization/usage/completions"),
        ("/openai/v1/chat/completions", "chat/completions"),
        ("/openai/deployments/my-gpt/chat/completions", "chat/completions"),
        ("/openai/deployments/my-gpt/audio/speech", "audio/speech"),
        ("/v1/engines/davinci/completions", "completions"),
        ("/api/v1/chat/completions", "chat/completions"),
        ("/v1beta/openai/embeddings", "embeddings"),
        ("/chat/completions", "chat/completions"),
        ("/models/chat/completions", "chat/completions"),
        ("/models/org/name/v1/chat/completions", "chat/completions"),
        ("/v1/projects/p/locations/l/endpoints/openapi/chat/completions", "chat/completions"),
        ("/v1/account/gateway/openai/responses", "responses"),
        ("/v1/messages", "messages"),
        ("/v1/audio", "audio/other"),
        ("/v1/files/f/content/more", "files/other"),
        ("/v1/unheard/of", "other"),
        ("/v1", "other"),
        ("/", "other"),
        ("", "other"),
        ("/v1/{id}", "other"),
    ],
)
def test_a_path_has_the_name_of_its_endpoint(path: str, route: str) -> None:
    assert route_of("POST", path.encode()) == route


def test_azure_names_the_model_in_the_path() -> None:
    assert model_in_path(b"/openai/deployments/my%20gpt/chat/completions") == "my gpt"
    assert model_in_path(b"/v1/chat/completions") is None


@given(st.binary(max_size=100))
def test_any_path_has_a_name_and_no_name_holds_anything_of_a_strangers(path: bytes) -> None:
    name = route_of("GET", b"/v1/files/" + path)
    assert name in {"files", "files/{id}", "files/{id}/content", "files/other"}
    route_of("GET", path)
