"""Which endpoint a path is: a name from a closed set, with ids replaced, fit to be a label.

Paths of compatible upstreams have other prefixes (`/openai/v1/…`, `/api/v1/…`) and Azure puts the deployment into
the path; both are passed over. What is in no row of the table is `other`, or `files/other` below a known name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

OTHER = "other"
WILDCARD = "{id}"

_ENDPOINTS = """
agents agents/automations agents/automations/{id} agents/automations/{id}/invocations
agents/automations/{id}/invocations/{id} agents/automations/{id}/pause agents/automations/{id}/resume
agents/environments agents/environments/templates agents/environments/templates/{id}
agents/environments/{id} agents/environments/{id}/files agents/sessions agents/sessions/{id}
agents/sessions/{id}/artifacts agents/sessions/{id}/artifacts/{id}
agents/sessions/{id}/artifacts/{id}/content agents/sessions/{id}/events agents/sessions/{id}/items
agents/sessions/{id}/subagents agents/sessions/{id}/subagents/{id} agents/sessions/{id}/subagents/{id}/items
agents/sessions/{id}/subagents/{id}/turns agents/sessions/{id}/subagents/{id}/turns/{id}
agents/sessions/{id}/subagents/{id}/turns/{id}/items agents/sessions/{id}/traces agents/sessions/{id}/turns
agents/sessions/{id}/turns/{id} agents/sessions/{id}/turns/{id}/items agents/{id}
assistants assistants/{id}
audio/speech audio/transcriptions audio/translations audio/voice_consents audio/voice_consents/{id}
audio/voices audio/voices/{id}
batches batches/{id} batches/{id}/cancel
chat/completions chat/completions/{id} chat/completions/{id}/messages
chatkit/sessions chatkit/sessions/{id}/cancel chatkit/threads chatkit/threads/{id}
chatkit/threads/{id}/items
completions
containers containers/{id} containers/{id}/files containers/{id}/files/{id}
containers/{id}/files/{id}/content
content_provenance_checks
conversations conversations/{id} conversations/{id}/items conversations/{id}/items/{id}
decisions
deployments deployments/{id}
detokenize
edits
embeddings
engines engines/{id}
evals evals/{id} evals/{id}/runs evals/{id}/runs/{id} evals/{id}/runs/{id}/cancel
evals/{id}/runs/{id}/output_items evals/{id}/runs/{id}/output_items/{id}
files files/{id} files/{id}/content
fine-tunes fine-tunes/{id} fine-tunes/{id}/cancel fine-tunes/{id}/events
fine_tuning/alpha/graders/run fine_tuning/alpha/graders/validate fine_tuning/checkpoints/{id}/permissions
fine_tuning/checkpoints/{id}/permissions/{id} fine_tuning/jobs fine_tuning/jobs/{id}
fine_tuning/jobs/{id}/cancel fine_tuning/jobs/{id}/checkpoints fine_tuning/jobs/{id}/events
fine_tuning/jobs/{id}/pause fine_tuning/jobs/{id}/resume
images/edits images/generations images/variations
live/sessions live/sessions/{id} live/sessions/{id}/accept live/sessions/{id}/attach
live/sessions/{id}/content live/sessions/{id}/fork live/sessions/{id}/hangup live/sessions/{id}/refer
live/sessions/{id}/reject live/translations
messages messages/batches messages/batches/{id} messages/count_tokens
models models/{id}
moderations
organization/admin_api_keys organization/admin_api_keys/{id} organization/audit_logs
organization/certificates organization/certificates/activate organization/certificates/deactivate
organization/certificates/{id} organization/costs organization/data_retention organization/external_keys
organization/external_keys/{id} organization/external_keys/{id}/validate organization/external_storage
organization/external_storage/{id} organization/external_storage/{id}/validate organization/groups
organization/groups/{id} organization/groups/{id}/roles organization/groups/{id}/roles/{id}
organization/groups/{id}/users organization/groups/{id}/users/{id} organization/invites
organization/invites/{id} organization/projects organization/projects/{id}
organization/projects/{id}/api_keys organization/projects/{id}/api_keys/{id}
organization/projects/{id}/archive organization/projects/{id}/certificates
organization/projects/{id}/certificates/activate organization/projects/{id}/certificates/deactivate
organization/projects/{id}/certificates/{id} organization/projects/{id}/data_retention
organization/projects/{id}/groups organization/projects/{id}/groups/{id}
organization/projects/{id}/hosted_tool_permissions organization/projects/{id}/model_permissions
organization/projects/{id}/rate_limits organization/projects/{id}/rate_limits/{id}
organization/projects/{id}/service_accounts organization/projects/{id}/service_accounts/{id}
organization/projects/{id}/service_accounts/{id}/api_keys organization/projects/{id}/service_tier_settings
organization/projects/{id}/spend_alerts organization/projects/{id}/spend_alerts/{id}
organization/projects/{id}/spend_limit organization/projects/{id}/users
organization/projects/{id}/users/{id} organization/roles organization/roles/{id} organization/spend_alerts
organization/spend_alerts/{id} organization/spend_limit organization/usage organization/usage/audio_speeches
organization/usage/audio_transcriptions organization/usage/code_interpreter_sessions
organization/usage/completions organization/usage/decisions organization/usage/embeddings
organization/usage/file_search_calls organization/usage/images organization/usage/moderations
organization/usage/vector_stores organization/usage/web_search_calls organization/users
organization/users/{id} organization/users/{id}/roles organization/users/{id}/roles/{id}
organization/workload_identity_providers organization/workload_identity_providers/{id}
organization/workload_identity_providers/{id}/federation_rules
organization/workload_identity_providers/{id}/federation_rules/{id}
projects/{id}/groups/{id}/roles projects/{id}/groups/{id}/roles/{id} projects/{id}/roles
projects/{id}/roles/{id} projects/{id}/users/{id}/roles projects/{id}/users/{id}/roles/{id}
realtime realtime/calls realtime/calls/{id} realtime/calls/{id}/accept realtime/calls/{id}/hangup
realtime/calls/{id}/refer realtime/calls/{id}/reject realtime/client_secrets realtime/sessions
realtime/transcription_sessions realtime/translations realtime/translations/client_secrets
rerank
responses responses/compact responses/input_tokens responses/{id} responses/{id}/cancel
responses/{id}/input_items
safety/alerts/{id} safety/cases/{id}
score
skills skills/{id} skills/{id}/content skills/{id}/versions skills/{id}/versions/{id}
skills/{id}/versions/{id}/content
threads threads/runs threads/{id} threads/{id}/messages threads/{id}/messages/{id} threads/{id}/runs
threads/{id}/runs/{id} threads/{id}/runs/{id}/cancel threads/{id}/runs/{id}/steps
threads/{id}/runs/{id}/steps/{id} threads/{id}/runs/{id}/submit_tool_outputs
tokenize
uploads uploads/{id} uploads/{id}/cancel uploads/{id}/complete uploads/{id}/parts
vaults vaults/{id} vaults/{id}/credentials vaults/{id}/credentials/{id}
vector_stores vector_stores/{id} vector_stores/{id}/file_batches vector_stores/{id}/file_batches/{id}
vector_stores/{id}/file_batches/{id}/cancel vector_stores/{id}/file_batches/{id}/files
vector_stores/{id}/files vector_stores/{id}/files/{id} vector_stores/{id}/files/{id}/content
vector_stores/{id}/search
videos videos/characters videos/characters/{id} videos/edits videos/extensions videos/{id}
videos/{id}/content videos/{id}/remix
webhook_endpoints webhook_endpoints/{id} webhook_endpoints/{id}/rotate_secret webhook_endpoints/{id}/test
webhook_event_types
"""
"""Every endpoint of the official SDK (OpenAI's specification has fewer) and a few of compatible upstreams."""

_PREFIX = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?|openai|api|inference|compatible-mode|serverless|paas")
_PARENTS_OF_MODEL = ("deployments", "engines")


@lru_cache(maxsize=256)
def route_of(method: str, path: bytes) -> str:
    """The endpoint's name, `chat/completions` or `files/{id}/content`, alike for all methods but CONNECT."""
    if method == "CONNECT":
        return OTHER
    return _name_of(_split(path)[0][:16])


def model_in_path(path: bytes) -> str | None:
    """The deployment (Azure) or engine (before 2023) that a path names, which stands for the model."""
    _, model = _split(path)
    return model


@lru_cache(maxsize=256)
def _split(path: bytes) -> tuple[tuple[str, ...], str | None]:
    """Segments after all prefixes, and the deployment among the prefixes."""
    raw = path.partition(b"?")[0][:8192].split(b"/")
    segments = [segment.decode("latin-1") for segment in raw if segment]
    start = 0
    while start < len(segments) and _PREFIX.fullmatch(segments[start]):
        start += 1
    rest = tuple(segments[start:])
    if len(rest) > 2 and rest[0] in _PARENTS_OF_MODEL:
        return rest[2:], unquote_to_bytes(rest[1].encode("latin-1")).decode("utf-8", "replace") or None
    return rest, None


def _name_of(segments: tuple[str, ...]) -> str:
    name = _name_from_start(segments)
    if name == OTHER or name.endswith(f"/{OTHER}") or name == f"models/{WILDCARD}":
        return _name_from_end(segments) or name
    return name


def _name_from_end(segments: tuple[str, ...]) -> str | None:
    """The endpoint below a prefix of a service's own: `/models/chat/completions`, `/accounts/a/gateway/responses`."""
    if segments[-2:] == ("chat", "completions"):
        return "chat/completions"
    return (
        segments[-1]
        if len(segments) > 1 and segments[-1] in ("completions", "embeddings", "responses")
        else None
    )


def _name_from_start(segments: tuple[str, ...]) -> str:
    if len(segments) > 1 and segments[0] == "models":
        # Models of compatible upstreams are called `meta-llama/Llama-3`.
        return f"models/{WILDCARD}"
    known = _table()
    name = ""
    for segment in segments:
        longer = f"{name}/{segment}" if name else segment
        wild = f"{name}/{WILDCARD}"
        if segment != WILDCARD and longer in known:
            name = longer
        elif wild in known:
            name = wild
        else:
            return f"{segments[0]}/{OTHER}" if name else OTHER
    if not name:
        return OTHER
    return name if known[name] else f"{segments[0]}/{OTHER}"


@lru_cache(maxsize=1)
def _table() -> dict[str, bool]:
    """Every endpoint and every beginning of one; True where it is a whole endpoint."""
    table: dict[str, bool] = {}
    for endpoint in _ENDPOINTS.split():
        segments = endpoint.split("/")
        for length in range(1, len(segments)):
            table.setdefault("/".join(segments[:length]), False)
        table[endpoint] = True
    return table
