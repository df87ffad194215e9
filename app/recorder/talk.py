"""What joins an exchange to others, as the store takes it."""

from __future__ import annotations

from app.decode import Decoded
from app.decode.identity import identify
from app.store.writing.record import Held, Talk


def talk_of(decoded: Decoded) -> Talk:
    """The keys of what was said, and the names that a provider gave; only conversations have keys."""
    lineage = decoded.lineage
    if not lineage.is_talk:
        return Talk(response=lineage.response, conversation=lineage.conversation)
    identity = identify(decoded.messages)
    return Talk(
        is_talk=True,
        roles=identity.roles,
        kinds=identity.kinds,
        content_keys=identity.content_keys,
        tip=identity.tip,
        held=[Held(each.link_key, each.node, each.turns, each.messages) for each in identity.held],
        answer_keys=identity.answer_keys,
        response=lineage.response,
        conversation=lineage.conversation,
    )
