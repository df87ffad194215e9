"""A record of two projects: `mine`, and `theirs`, of which every text is a canary."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from tests.api.conftest import Console
from tests.store.samples import NOON_NS
from tests.store.talks import exchange

CANARY = "canarybird"
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class TwoProjects:
    """Ids of one exchange (and of its conversation, and the provider's) of each project, by name of the parameter."""

    mine: dict[str, str]
    theirs: dict[str, str]
    read_token: str
    """Reads `mine`."""


async def two_projects(console: Console) -> TwoProjects:
    """Delivers both, and makes a token that reads `mine`."""
    sent = [_exchange(project, at) for at, project in enumerate(["mine", "theirs"] * 3)]
    sent += [_exchange(project, at, is_chat=False) for at, project in enumerate(["mine", "theirs"], 6)]
    await console.ingest.deliver(sent)
    made = await console.client.post("/api/tokens", json={"project": "mine", "name": "a test"})
    assert made.status_code == 201, made.text
    ids = {}
    for project in ("mine", "theirs"):
        [chat, *_] = (
            await console.get(f"/api/exchanges?project={project}&path=/v1/chat/completions")
        ).json()["data"]
        [response] = (await console.get(f"/api/exchanges?project={project}&path=/v1/responses")).json()[
            "data"
        ]
        ids[project] = {
            "exchange_id": chat["id"],
            "conversation_id": chat["conversation_id"],
            "completion_id": chat["upstream_id"],
            "response_id": response["upstream_id"],
        }
    return TwoProjects(ids["mine"], ids["theirs"], made.json()["token"])


def _exchange(project: str, at: int, *, is_chat: bool = True):
    word = CANARY if project == "theirs" else "plain"
    given_id = f"{'chatcmpl' if is_chat else 'resp'}-{word}-{at}"
    request = {"model": f"model-{word}", "messages": [{"role": "user", "content": f"{word} asked {at}"}]}
    message = {"role": "assistant", "content": f"{word} told {at}"}
    answer = {"id": given_id, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    if not is_chat:
        request = {"model": f"model-{word}", "input": f"{word} asked {at}"}
        told = {"type": "output_text", "text": word, "annotations": []}
        item = {"type": "message", "role": "assistant", "id": "msg_1", "content": [told]}
        answer = {"id": given_id, "object": "response", "output": [item], "status": "completed"}
    return exchange(
        "/v1/chat/completions" if is_chat else "/v1/responses",
        request,
        answer,
        NOON_NS + at * SECOND_NS,
        project=project,
        response_content_type="application/json",
        model=f"model-{word}",
        user=f"user-{word}",
        key=("c0" if project == "theirs" else "a0") * 8,
        conversation=f"thread-{word}",
        tags={"team": word},
        stream=False,
    )


def nobody() -> dict[str, str]:
    """Ids that nothing has."""
    return {
        name: str(uuid.UUID(int=7))
        for name in ("exchange_id", "conversation_id", "completion_id", "response_id")
    }
