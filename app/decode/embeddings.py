"""Embeddings: texts in, how many vectors of how many dimensions out; the numbers stay in the bytes."""

from __future__ import annotations

from app.decode.completions import read_prompts
from app.decode.jsonsafe import TextCleaner, as_dict, as_list
from app.decode.values import Answer, Message


def read_embeddings_request(body: dict[str, object], cleaner: TextCleaner) -> list[Message]:
    """One message for each text."""
    return read_prompts(body.get("input"), cleaner)


def read_embeddings_answer(body: dict[str, object], cleaner: TextCleaner) -> Answer:
    """A list of embeddings, as numbers or in base64 (4 bytes a number)."""
    data = as_list(body.get("data"))
    return Answer(
        upstream_id=cleaner.label(body.get("id")),
        model=cleaner.label(body.get("model")),
        usage=body.get("usage"),
        summary=_summary(data) if "data" in body else None,
    )


def _summary(data: list[object]) -> str:
    vector = as_dict(data[0]).get("embedding") if data else None
    dimensions = 0
    if isinstance(vector, list):
        dimensions = len(vector)
    elif isinstance(vector, str):
        dimensions = (len(vector.rstrip("=")) * 3 // 4) // 4
    noun = "embedding" if len(data) == 1 else "embeddings"
    return f"{len(data)} {noun} of {dimensions} dimensions" if dimensions else f"{len(data)} {noun}"
