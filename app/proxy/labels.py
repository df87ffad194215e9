"""What a client says of its own call with `x-verbatim-*` fields: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from app.exchange import LogMode
from app.proxy.headers import Refusal

MAX_TAGS = 32
MAX_VALUE_BYTES = 256
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TAG = b"tag-"


@dataclass(frozen=True, slots=True)
class Labels:
    """Who and what a call is for; `log` is what the client asked for, which may only be stricter than the setting."""

    log: LogMode = LogMode.FULL
    user: str | None = None
    conversation: str | None = None
    project: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


NO_LABELS = Labels()


def read_labels(own_fields: dict[bytes, bytes], obeyed: frozenset[str]) -> Labels | Refusal:
    """The labels of a call; fields that CLIENT_HEADERS does not list are ignored, malformed ones refused with 400."""
    if not own_fields:
        return NO_LABELS
    values: dict[str, str] = {}
    tags: dict[str, str] = {}
    for raw_name, raw_value in own_fields.items():
        name = raw_name.decode("latin-1")
        kind = "tag" if raw_name.startswith(_TAG) else name
        if kind not in obeyed:
            continue
        if len(raw_value) > MAX_VALUE_BYTES:
            return _refused(name, f"is longer than {MAX_VALUE_BYTES} bytes")
        value = raw_value.decode("utf-8", "replace").replace("\x00", "\ufffd")
        if kind == "tag":
            tags[name[len(_TAG) :]] = value
        else:
            values[name] = value
    return _checked(values, tags)


def _checked(values: dict[str, str], tags: dict[str, str]) -> Labels | Refusal:
    bad = next((name for name in tags if not _NAME.fullmatch(name)), None)
    if bad is not None:
        return _refused(f"tag-{bad}", "has a name that is not [a-z0-9][a-z0-9._-]{0,62}")
    if len(tags) > MAX_TAGS:
        return _refused("tag", f"is given more than {MAX_TAGS} times")
    project = values.get("project")
    if project is not None and not _NAME.fullmatch(project):
        return _refused("project", "must be [a-z0-9][a-z0-9._-]{0,62}")
    log = values.get("log", LogMode.FULL.value).strip().lower()
    if log not in [mode.value for mode in LogMode]:
        return _refused("log", "takes full, metadata or off")
    return Labels(LogMode(log), values.get("user") or None, values.get("conversation") or None, project, tags)


def _refused(name: str, problem: str) -> Refusal:
    return Refusal(400, "bad_label", f"x-verbatim-{name} {problem}", f"x-verbatim-{name}")
