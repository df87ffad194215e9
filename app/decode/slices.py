"""Where a request's JSON body is cut, so that what many calls send again can be kept once.

A cut is a list of (kind, end): slices follow each other without a gap, so that together they are the body whatever
the cut. Where it is good, the items of `messages` or `input` are slices of their own, the comma before each with it,
since the last item has none behind it; so a longer conversation begins with the slices of the shorter one. The system
prompt, the tools and large parts in base64 are apart from it; all the rest is what remains between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from app.decode.jsonsafe import is_too_rich
from app.exchange import Slice, SliceKind

SHORTEST_BODY_BYTES = 1_024
SHORTEST_SLICE_BYTES = 256
"""A slice costs some 200 bytes of its own: shorter items go with the next one, shorter settings stay with the rest.

So do answers of the model up to LARGE_BYTES, since a call hardly ever ends with one."""
LONGEST_SLICE_BYTES = 1 << 20
LONGEST_REST_BYTES = 256 << 10
LARGE_BYTES = 4_096

_SETTINGS = {
    b"tools": SliceKind.TOOLS,
    b"functions": SliceKind.TOOLS,
    b"response_format": SliceKind.TOOLS,
    b"text": SliceKind.TOOLS,
    b"system": SliceKind.PROMPT,
    b"instructions": SliceKind.PROMPT,
}
_TALKS = (b"messages", b"input")
_NAME = re.compile(rb'[ \t\r\n]*,?[ \t\r\n]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_OPENING = re.compile(rb"[ \t\r\n]*\{")
_CLOSING = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*")
_COMMA = re.compile(rb"[ \t\r\n]*,?[ \t\r\n]*")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SYSTEM = re.compile(rb'"role"[ \t\r\n]*:[ \t\r\n]*"(?:system|developer)"')
_ANSWER = re.compile(
    rb'"(?:role"[ \t\r\n]*:[ \t\r\n]*"assistant"'
    rb'|type"[ \t\r\n]*:[ \t\r\n]*"(?:reasoning|function_call|custom_tool_call)")'
)
_ROLE_WINDOW_BYTES = 64
_LARGE = re.compile(rb'"([^"\s]{%d,})"' % LARGE_BYTES)
_LARGE_HINTS = (b"base64,", b'data"', b'b64_json"')
_DATA_URL_HEAD_BYTES = 256

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_lists = msgspec.json.Decoder(list[msgspec.Raw])

_Field = tuple[bytes, int, memoryview]
"""Name as it stands, where its value begins, and the value."""


def cut_body(body: bytes) -> list[Slice] | None:
    """The cut of a body; None where it is better kept whole, as is all that is no such JSON."""
    if len(body) < SHORTEST_BODY_BYTES or is_too_rich(body):
        return None
    # A lone surrogate is no Unicode, but programs send it. Lengths stay, and only they count here.
    for read in (bytes, _without_surrogates):
        try:
            return _cut(body, _fields(read(body)))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            continue
    return None


def _without_surrogates(body: bytes) -> bytes:
    return _SURROGATE.sub(rb"\\u00", body)


def _cut(body: bytes, fields: list[_Field]) -> list[Slice] | None:
    slices: list[Slice] = []
    rest_bytes = end = 0
    has_talk = False
    for name, start, value in fields:
        inner: list[Slice] = []
        if name in _TALKS and not has_talk:
            start, inner = _talk(body, start, value)
            has_talk = bool(inner)
        elif name in _SETTINGS and len(value) >= SHORTEST_SLICE_BYTES:
            inner = [(_SETTINGS[name], start + len(value))]
        if inner:
            slices.append((SliceKind.REST, start))
            slices += inner
            rest_bytes += start - end
            end = inner[-1][1]
    if not slices or rest_bytes + len(body) - end > LONGEST_REST_BYTES:
        return None
    slices.append((SliceKind.REST, len(body)))
    return list(_bounded(slices))


def _fields(body: bytes) -> list[_Field]:
    """The fields of an object; those of no other value, nor of one that has a name twice."""
    fields: list[_Field] = []
    values = _objects.decode(body)
    opening = _OPENING.match(body)
    position = opening.end() if opening else 0
    for value in values.values():
        name = _NAME.match(body, position)
        if name is None:
            return []
        fields.append((name[1], name.end(), memoryview(value)))
        position = name.end() + len(fields[-1][2])
    return fields if _CLOSING.fullmatch(body, position) else []


def _talk(body: bytes, start: int, value: memoryview) -> tuple[int, list[Slice]]:
    """Where the first slice of a list of objects begins, and its slices; none where it is no such list."""
    if bytes(value[:1]) != b"[":
        return start, []
    ends: list[int] = []
    position = start + 1
    for item in _lists.decode(value):
        gap = _COMMA.match(body, position)
        begin = gap.end() if gap else position
        if not ends and body[begin : begin + 1] != b"{":
            return start, []
        position = begin + len(memoryview(item))
        ends.append(position)
    return _sliced(body, start + 1, ends)


def _sliced(body: bytes, start: int, ends: list[int]) -> tuple[int, list[Slice]]:
    prompt_end = begin = start
    count = 0
    for end in ends:
        if not _is_system(body, begin, end):
            break
        prompt_end = begin = end
        count += 1
    slices: list[Slice] = []
    if prompt_end - start >= SHORTEST_SLICE_BYTES:
        slices.append((SliceKind.PROMPT, prompt_end))
    else:
        start = prompt_end
    taken = prompt_end
    for end in ends[count:]:
        for large_start, large_end in _large_parts(body, begin, end):
            slices += ((SliceKind.TALK, large_start), (SliceKind.LARGE, large_end))
            taken = large_end
        if end == ends[-1] or end - taken >= (
            LARGE_BYTES if _is_answer(body, begin) else SHORTEST_SLICE_BYTES
        ):
            slices.append((SliceKind.TALK, end))
            taken = end
        begin = end
    return start, slices


def _is_system(body: bytes, begin: int, end: int) -> bool:
    """Whether an item says so at its beginning or at its end, where programs put the role."""
    return bool(
        _SYSTEM.search(body, begin, min(end, begin + _ROLE_WINDOW_BYTES))
        or _SYSTEM.search(body, max(begin, end - _ROLE_WINDOW_BYTES), end)
    )


def _is_answer(body: bytes, begin: int) -> bool:
    """Whether the model said it: in the next call something always follows it, so it can share that one's slice."""
    return bool(_ANSWER.search(body, begin, begin + _ROLE_WINDOW_BYTES))


def _large_parts(body: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """From where to where strings without a space go that are likely base64; of a data URL, what follows the comma."""
    if end - begin < LARGE_BYTES or all(body.find(hint, begin, end) < 0 for hint in _LARGE_HINTS):
        return
    for found in _LARGE.finditer(body, begin, end):
        start, stop = found.span(1)
        start = body.find(b",", start, start + _DATA_URL_HEAD_BYTES) + 1 or start
        yield start, stop


def _bounded(slices: list[Slice]) -> Iterator[Slice]:
    """The same with no slice longer than LONGEST_SLICE_BYTES."""
    begin = 0
    for kind, end in slices:
        while end - begin > LONGEST_SLICE_BYTES:
            begin += LONGEST_SLICE_BYTES
            yield kind, begin
        if end > begin:
            yield kind, end
        begin = end
