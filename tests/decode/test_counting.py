"""Whose a usage is: the call's own, an object's that is told at each poll, or one that was told before."""

from __future__ import annotations

from typing import Any

import pytest

from app.decode.counting import Counting, counting_of

DONE = {"id": "resp_1", "status": "completed"}
CALL, OBJECT, NEVER = Counting.CALL, Counting.OBJECT, Counting.NEVER


@pytest.mark.parametrize(
    ("method", "route", "asked", "told", "expected"),
    [
        ("POST", "chat/completions", {}, {}, CALL),
        ("GET", "chat/completions", {}, {}, NEVER),
        ("GET", "chat/completions/{id}", {}, {}, NEVER),
        ("POST", "chat/completions/{id}", {"metadata": {}}, {}, NEVER),
        ("POST", "messages", {}, {}, CALL),
        ("POST", "images/edits", {}, {}, CALL),
        ("POST", "other", {}, {}, CALL),
        ("PUT", "other", {}, {}, NEVER),
        ("POST", "responses", {}, DONE, CALL),
        ("POST", "responses", {"background": False}, DONE, CALL),
        ("POST", "responses/compact", {}, DONE, CALL),
        ("POST", "responses", {"background": True}, {"id": "resp_1", "status": "queued"}, NEVER),
        ("POST", "responses", {"background": True}, DONE, OBJECT),
        ("POST", "responses", {}, {**DONE, "background": True}, OBJECT),
        ("GET", "responses/{id}", {}, {**DONE, "background": True}, OBJECT),
        ("GET", "responses/{id}", {}, {**DONE, "background": "true"}, NEVER),
        ("GET", "responses/{id}", {}, DONE, NEVER),
        ("GET", "responses/{id}", {}, {"status": "failed", "background": True}, NEVER),
        ("GET", "responses/{id}", {}, {"id": [], "status": "failed", "background": True}, NEVER),
        ("GET", "responses/{id}", {}, {"id": "r", "status": [], "background": True}, NEVER),
        ("DELETE", "responses/{id}", {}, {**DONE, "background": True}, NEVER),
        ("POST", "responses/{id}/cancel", {}, {**DONE, "background": True}, OBJECT),
        ("POST", "threads/runs", {}, {"id": "run_1", "status": "queued"}, NEVER),
        ("POST", "threads/runs", {}, {"id": "run_1", "status": "completed"}, OBJECT),
        ("GET", "threads/{id}/runs/{id}", {}, {"id": "run_1", "status": "expired"}, OBJECT),
        ("GET", "threads/{id}/runs", {}, {"object": "list", "data": []}, NEVER),
        ("GET", "batches/{id}", {}, {"id": "batch_1", "status": "finalizing"}, NEVER),
        ("GET", "batches/{id}", {}, {"id": "batch_1", "status": "completed"}, OBJECT),
        ("GET", "realtime", {}, {}, CALL),
        ("GET", "responses", {}, {}, CALL),
    ],
)
def test_a_usage_counts_where_it_was_used(
    method: str, route: str, asked: dict[str, Any], told: dict[str, Any], expected: Counting
) -> None:
    assert counting_of(method, route, asked, told) is expected
