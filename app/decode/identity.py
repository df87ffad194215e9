"""What a message is, whatever bytes it stands in: the keys by which an answer is known when it comes back.

Programs send an answer back in other bytes than it came in: content as text or as one part, arguments of a tool in
other white space, ids new or gone, thoughts dropped, items of a response as messages of their own. So the canonical
form of a message is its role, its text, the names and parsed arguments of its calls, and the digests of its media;
messages of the assistant that follow each other are one turn, and one with nothing but thoughts is none.

Three kinds of keys follow, all SHA-256, cut to 16 bytes:

- the content key of each turn, its canonical form alone;
- the chain of meaning: all turns up to one;
- the link key of an answer: 8 bytes of its content key with those of the last user's message and of what it answered
  (a tool's result, say), then 8 bytes of the talk up to it. The talk tells `yes` and `done` of two conversations from
  each other; the first half is the same where what came before was compacted. A system prompt is in neither half:
  many share it, and it may hold the time of day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field

import msgspec

from app.decode.jsonsafe import as_dict
from app.decode.values import Message, ToolCall
from app.frozen import value

KEY_BYTES = 16
"""Length at which keys are kept: 128 bits, and the store holds millions of them."""
HALF_BYTES = KEY_BYTES // 2
MOST_HELD = 32
"""Answers in a request, from the last on, by which it is joined to what came before."""
MOST_TURNS = 20_000

_NONE = bytes(32)
_ROLES = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
_LETTERS = {"system": "s", "user": "u", "assistant": "a", "tool": "t"}
_MEDIA = ("image", "audio", "video", "file")
_MEDIA_NAMES = ("id", "sha256", "file_id", "url")
"""What tells one picture from another, the best first."""
_EMPTY_ARGUMENTS = ("", "{}", "null")

_json = msgspec.json.Encoder(order="sorted")


@value
class HeldAnswer:
    """An answer of a model's that a request holds."""

    link_key: bytes
    """KEY_BYTES: the first half of the answer after what it answered, the other of all the talk up to it."""
    node: bytes
    """The chain of meaning up to and with it, KEY_BYTES."""
    turns: int
    """How many turns that chain has."""
    messages: int
    """How many messages stand up to and with it."""


@value
class Identity:
    """All keys of one exchange; nothing where no message is known."""

    roles: str = ""
    """A letter a turn: system, user, assistant, tool, other."""
    kinds: str = ""
    """A letter a turn: text, calls, media, refusal, other."""
    content_keys: bytes = b""
    """KEY_BYTES a turn: those of the request, then of the first answer."""
    tip: bytes | None = None
    """The end of the chain of meaning, KEY_BYTES."""
    held: list[HeldAnswer] = field(default_factory=list)
    """Answers in the request, the last first, at most MOST_HELD."""
    answer_keys: list[bytes] = field(default_factory=list)
    """Link keys of what was answered, one a choice, KEY_BYTES each."""


def content_key(message: Message) -> bytes:
    """SHA-256 of a message's canonical form."""
    return _turn([message]).key


def identify(messages: Sequence[Message]) -> Identity:
    """The keys of an exchange's messages: those of the request, then the answers."""
    asked = list(_turns(each for each in messages if each.direction == "request"))[:MOST_TURNS]
    # Where the request ends with words of the assistant's, the answer goes on from there: together they are one turn.
    begun = asked.pop() if asked and asked[-1].role == "assistant" else None
    chain = _Chain()
    for turn in asked:
        chain.add(turn)
    held = [*chain.places, chain.place_of(begun)] if begun is not None else list(chain.places)
    told = _answers(messages, begun)
    told = [turn for turn in told if not turn.is_empty]
    answer_keys = [chain.place_of(turn).link_key() for turn in told]
    last = told[0] if told else begun
    if last is not None:
        chain.add(last)
    return Identity(
        roles="".join(chain.roles),
        kinds="".join(chain.kinds),
        content_keys=b"".join(chain.keys),
        tip=chain.last.node() if chain.last is not None else None,
        held=_held(held[-MOST_HELD:], messages),
        answer_keys=list(dict.fromkeys(answer_keys)),
    )


def said_turns(messages: Sequence[Message]) -> tuple[list[Turn], list[Turn]]:
    """What an exchange asked in turns, and the turn that each of its answers makes; none where nothing was answered.

    What was asked after an answer (a session) has all its turns in one order, and no answers apart.
    """
    directions = [each.direction for each in messages]
    if "response" in directions and "request" in directions[directions.index("response") :]:
        return list(_turns(messages))[:MOST_TURNS], []
    asked = list(_turns(each for each in messages if each.direction == "request"))[:MOST_TURNS]
    begun = asked[-1] if asked and asked[-1].role == "assistant" else None
    told = _answers(messages, begun)
    return (asked[:-1] if told and begun is not None else asked), told


def _answers(messages: Sequence[Message], begun: Turn | None) -> list[Turn]:
    """The turn that each answer makes; it goes on from what the request began."""
    answers = [each for each in messages if each.direction == "response" and each.choice is not None]
    before = begun.messages if begun is not None else []
    return [_turn([*before, each]) for each in sorted(answers, key=lambda each: each.choice or 0)]


def _held(places: Sequence[_Place], messages: Sequence[Message]) -> list[HeldAnswer]:
    """The answers at these places, the last first."""
    numbers = {id(each): number for number, each in enumerate(messages, 1)} if places else {}
    return [
        HeldAnswer(each.link_key(), each.node(), each.turns, numbers[id(each.turn.messages[-1])])
        for each in reversed(places)
    ]


@value
class Turn:
    """Messages of one speaker that follow each other, in canonical form; `key` is SHA-256."""

    role: str
    kind: str
    key: bytes
    messages: list[Message]
    is_compaction: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said: thoughts alone, or what the provider did by itself."""
        return self.role == "assistant" and self.kind == "o" and not self.is_compaction


@value
class _Place:
    """Where a turn stands: after which user's message and which other, and what it makes of the chain."""

    turn: Turn
    user: bytes
    before: bytes
    talk: bytes
    """All turns up to it that are not the system's."""
    system: bytes
    """All turns of the system's up to it."""
    turns: int

    def link_key(self) -> bytes:
        """The link key; what was compacted is known by itself."""
        if self.turn.is_compaction:
            return self.turn.key[:KEY_BYTES]
        link = hashlib.sha256(self.user + self.before + self.turn.key).digest()
        return link[:HALF_BYTES] + self.talk[:HALF_BYTES]

    def node(self) -> bytes:
        """The end of the chain of meaning."""
        return hashlib.sha256(self.talk + self.system).digest()[:KEY_BYTES]


class _Chain:
    """Turns in order, with the keys that follow from them."""

    __slots__ = ("_before", "_system", "_talk", "_user", "keys", "kinds", "last", "places", "roles")

    def __init__(self) -> None:
        self.roles: list[str] = []
        self.kinds: list[str] = []
        self.keys: list[bytes] = []
        self.places: list[_Place] = []
        """Those of the assistant's turns."""
        self.last: _Place | None = None
        self._talk = self._system = self._user = self._before = _NONE

    def __repr__(self) -> str:
        return f"<_Chain {''.join(self.roles)}>"

    def add(self, turn: Turn) -> None:
        """Adds a turn behind the last."""
        self.last = place = self.place_of(turn)
        role, key = turn.role, turn.key
        self.roles.append(_LETTERS.get(role, "o"))
        self.kinds.append(turn.kind)
        self.keys.append(key[:KEY_BYTES])
        self._talk, self._system = place.talk, place.system
        if role == "assistant":
            self.places.append(place)
        elif role == "user":
            self._user = key
        if role != "system":
            self._before = key

    def place_of(self, turn: Turn) -> _Place:
        """Where a turn would stand that is added now."""
        talk, system = self._talk, self._system
        if turn.role == "system":
            system = hashlib.sha256(system + turn.key).digest()
        else:
            talk = hashlib.sha256(talk + turn.key).digest()
        return _Place(turn, self._user, self._before, talk, system, len(self.keys) + 1)


def _turns(messages: Iterable[Message]) -> Iterator[Turn]:
    """Turns that say something; neighbours of the assistant's are one, but for what was compacted."""
    run: list[Message] = []
    for message in messages:
        if _role_of(message) == "assistant" and (not message.parts or _compaction_in(message) is None):
            run.append(message)
            continue
        if run:
            yield from _said(_turn(run))
            run = []
        yield _turn([message])
    if run:
        yield from _said(_turn(run))


def _said(turn: Turn) -> list[Turn]:
    return [] if turn.is_empty else [turn]


def _turn(messages: list[Message]) -> Turn:
    first = messages[0]
    role = _role_of(first)
    if (
        len(messages) == 1
        and first.text
        and not first.parts
        and not first.tool_calls
        and "\r" not in first.text
    ):
        if text := first.text.strip():
            return Turn(role, "t", _digest([role, text, "0"]), messages)
    for message in messages:
        if message.parts and (compaction := _compaction_in(message)) is not None:
            return Turn("assistant", "o", _digest(["compaction", compaction]), messages, is_compaction=True)
    kind, text = _words(messages)
    calls = [_call(call) for each in messages for call in each.tool_calls]
    others = [name for each in messages for part in each.parts if (name := _part_name(part, role))]
    if calls or others:
        kind = "c" if calls else "m"
    return Turn(role, kind, _digest([role, text, str(len(calls)), *calls, *others]), messages)


def _words(messages: list[Message]) -> tuple[str, str]:
    """The kind of a turn without calls and media, and its words: what was said, else what was refused."""
    text = "".join([each.text for each in messages if each.text]).strip()
    kind = "t" if text else "o"
    if not text:
        text = "".join([each.refusal for each in messages if each.refusal]).strip()
        kind = "r" if text else "o"
    return kind, text.replace("\r\n", "\n")


def _digest(fields: list[str]) -> bytes:
    """Text is free of NUL, so that no two lists come to the same bytes."""
    return hashlib.sha256("\0".join(fields).encode("utf-8", "replace")).digest()


def _role_of(message: Message) -> str:
    return _ROLES.get(message.role, message.role)


def _call(call: ToolCall) -> str:
    return f"{call.name or ''}\n{_arguments(call.arguments or '')}"


def _arguments(text: str) -> str:
    """Arguments with their names sorted and no white space; as they are where they are no JSON."""
    text = text.strip()
    if text in _EMPTY_ARGUMENTS:
        return ""
    try:
        value = msgspec.json.decode(text)
        text = _json.encode(_whole_numbers(value) if "." in text else value).decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text
    return "" if text in _EMPTY_ARGUMENTS else text


def _whole_numbers(value: object) -> object:
    """JavaScript writes 1.0 as 1."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    if isinstance(value, list):
        return [_whole_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: _whole_numbers(each) for name, each in value.items()}
    return value


def _compaction_in(message: Message) -> str | None:
    """What stands for a conversation that was compacted: encrypted, or a summary."""
    for part in message.parts:
        fields = as_dict(part)
        if str(fields.get("type")).startswith("compaction"):
            return str(fields.get("encrypted_content") or fields.get("content") or fields.get("id") or "")
    return None


def _part_name(part: object, role: str) -> str | None:
    """How a part is told from others; None for what is in the text, or may be left out when it is sent back."""
    fields = as_dict(part)
    kind = fields.get("type")
    if kind in ("text", "refusal", "reasoning"):
        return None
    if kind in _MEDIA:
        named = next((str(fields[name]) for name in _MEDIA_NAMES if fields.get(name)), "")
        return f"{kind}\n{named}"
    if role == "assistant":
        return None
    try:
        return _json.encode({name: each for name, each in fields.items() if name != "cache_control"}).decode()
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return str(kind)
