"""multipart/form-data (RFC 7578, RFC 2046) in pieces: fields and files out, memory bounded whatever the size.

A file is its name, media type, size and SHA-256; its bytes are passed over. Damage never raises: what is broken is
read as far as it goes, and `is_whole` says that it was not all. Clients differ, and all of this is read: bare LF,
no line before the first delimiter, no blank line after empty headers, a missing last delimiter, a lost boundary.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

MAX_PARTS = 1_024
MAX_HEAD_BYTES = 16_384
MAX_FIELD_BYTES = 1 << 20
MAX_FIELDS_BYTES = 4 << 20
MAX_BOUNDARY_BYTES = 256
MAX_PADDING_BYTES = 256

_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))', re.DOTALL)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FIELD_TYPES = ("text/", "application/json", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file in a form, as far as it came."""

    name: str
    """Of the field."""
    filename: str | None
    media_type: str | None
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FormField:
    """A field in a form; bytes that are no UTF-8 are replaced."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Form:
    """What a form holds, in order."""

    items: list[FormField | FormFile]
    is_whole: bool
    """The last delimiter came, and nothing was passed over."""


@dataclass(frozen=True, slots=True)
class _Head:
    name: str
    filename: str | None
    media_type: str | None

    @property
    def is_file(self) -> bool:
        if self.filename is not None:
            return True
        return self.media_type is not None and not self.media_type.startswith(_FIELD_TYPES)


class _State(enum.Enum):
    PREAMBLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    EPILOGUE = enum.auto()


class FormReader:
    """Bytes of a body in, a form out."""

    __slots__ = (
        "_at_start", "_boundary", "_buffer", "_dropped", "_fields_bytes", "_hasher", "_head", "_items", "_size",
        "_state", "_value",
    )  # fmt: skip

    def __init__(self, content_type: str) -> None:
        self._boundary = boundary_of(content_type)
        """Empty where the content type names none: the first line tells it then."""
        self._buffer = bytearray()
        self._state = _State.PREAMBLE
        self._at_start = True
        self._items: list[FormField | FormFile] = []
        self._dropped = 0
        self._fields_bytes = 0
        self._head = _Head("", None, None)
        self._size = 0
        self._value = bytearray()
        self._hasher = hashlib.sha256()

    def __repr__(self) -> str:
        return f"<FormReader {self._state.name} items={len(self._items)} buffered={len(self._buffer)}>"

    def feed(self, piece: bytes) -> None:
        """Takes the next bytes."""
        if self._state is _State.EPILOGUE:
            return
        self._buffer += piece
        while self._step():
            pass

    def close(self) -> Form:
        """The form as it is at the end; a part that was cut off is one of its items."""
        is_whole = self._state is _State.EPILOGUE and not self._dropped
        if self._state is _State.BODY:
            pending = self._buffer.find(b"\n--" + self._boundary)
            if pending < 0:
                self._take(bytes(self._buffer))
                self._end_part()
            else:
                self._end_body(pending)
        return Form(list(self._items), is_whole)

    def _step(self) -> bool:
        """One move of the machine; False where it needs more bytes."""
        if not self._boundary and not self._find_boundary():
            return False
        if self._state is _State.HEAD:
            return self._read_head()
        return self._state is not _State.EPILOGUE and self._read_until_delimiter()

    def _find_boundary(self) -> bool:
        line, newline, _ = self._buffer[: MAX_BOUNDARY_BYTES + 4].partition(b"\n")
        if not newline or not line.startswith(b"--"):
            if newline or len(self._buffer) > MAX_BOUNDARY_BYTES + 4:
                self._finish_unread()
            return False
        self._boundary = bytes(line[2:].rstrip())
        if not self._boundary:
            self._finish_unread()
        return bool(self._boundary)

    def _finish_unread(self) -> None:
        """Nothing here is a form."""
        self._dropped += 1
        self._buffer.clear()
        self._state = _State.EPILOGUE

    def _read_until_delimiter(self) -> bool:
        delimiter = b"\n--" + self._boundary
        if self._at_start and self._buffer.startswith(delimiter[1:]):
            return self._at_delimiter(0, len(delimiter) - 1)
        if self._at_start and delimiter[1:].startswith(self._buffer):
            return False
        found = self._buffer.find(delimiter)
        if found < 0:
            self._flush(max(0, len(self._buffer) - len(delimiter)))
            return False
        self._flush(max(0, found - 1))
        found = self._buffer.find(delimiter)
        return self._at_delimiter(found, found + len(delimiter))

    def _at_delimiter(self, start: int, end: int) -> bool:
        """Whether what follows the boundary makes it a delimiter; if not, it was content."""
        rest = bytes(self._buffer[end : end + MAX_PADDING_BYTES])
        if rest.startswith(b"--"):
            self._end_body(start)
            self._buffer.clear()
            self._state = _State.EPILOGUE
            return False
        line = rest.lstrip(b" \t\r")
        if line.startswith(b"\n"):
            self._end_body(start)
            # The line's end stays: where a head is empty, it is the blank line.
            del self._buffer[: end + len(rest) - len(line)]
            self._state = _State.HEAD
            return True
        if rest in (b"", b"-") or (not line and len(rest) < MAX_PADDING_BYTES):
            return False
        self._flush(start + 1)
        return True

    def _end_body(self, start: int) -> None:
        """The content ends where the line break before the delimiter begins."""
        content = bytes(self._buffer[:start])
        if self._buffer[start : start + 1] == b"\n":
            content = content.removesuffix(b"\r")
        self._take(content)
        if self._state is _State.BODY:
            self._end_part()

    def _flush(self, length: int) -> None:
        if length > 0:
            self._take(bytes(self._buffer[:length]))
            del self._buffer[:length]
            self._at_start = False

    def _read_head(self) -> bool:
        """The buffer begins with the line break that ends the delimiter."""
        match = _HEAD_END.search(self._buffer, 0, MAX_HEAD_BYTES)
        if match is None:
            if len(self._buffer) >= MAX_HEAD_BYTES:
                self._finish_unread()
            return False
        head = bytes(self._buffer[: match.start()])
        del self._buffer[: match.end()]
        self._begin_part(_read_head(head))
        return True

    def _begin_part(self, head: _Head) -> None:
        self._head = head
        self._size = 0
        self._value = bytearray()
        self._hasher = hashlib.sha256()
        self._at_start = True
        self._state = _State.BODY

    def _take(self, content: bytes) -> None:
        """Content of the part that is open; before the first there is none."""
        if self._state is not _State.BODY:
            return
        self._size += len(content)
        if self._head.is_file:
            self._hasher.update(content)
        else:
            self._value += content[: MAX_FIELD_BYTES - len(self._value)]

    def _end_part(self) -> None:
        head = self._head
        if len(self._items) >= MAX_PARTS:
            self._dropped += 1
            return
        if head.is_file:
            digest = self._hasher.hexdigest()
            self._items.append(FormFile(head.name, head.filename, head.media_type, self._size, digest))
            return
        self._fields_bytes += len(self._value)
        if self._size > len(self._value) or self._fields_bytes > MAX_FIELDS_BYTES:
            self._dropped += 1
        if self._fields_bytes <= MAX_FIELDS_BYTES:
            self._items.append(FormField(head.name, self._value.decode("utf-8", "replace")))


def read_form(pieces: Iterable[bytes], content_type: str) -> Form:
    """The form in a body that comes in pieces."""
    reader = FormReader(content_type)
    for piece in pieces:
        reader.feed(piece)
    return reader.close()


def form_fields(form: Form) -> dict[str, object]:
    """A form as the JSON object it stands for: `name[]` is `name`, a name that comes again makes a list, and a file
    is {"type": "file", "filename", "media_type", "size_bytes", "sha256"}."""
    fields: dict[str, object] = {}
    for item in form.items:
        name = item.name.removesuffix("[]")
        value: object = item.value if isinstance(item, FormField) else _file_value(item)
        held = fields.get(name)
        if name not in fields:
            fields[name] = value
        elif isinstance(held, list):
            held.append(value)
        else:
            fields[name] = [held, value]
    return fields


def boundary_of(content_type: str) -> bytes:
    """The boundary that a content type names; empty where it names none that can be one."""
    boundary = _parameters(content_type).get("boundary", "").rstrip()
    coded = boundary.encode("utf-8", "replace")
    return coded if len(coded) <= MAX_BOUNDARY_BYTES and b"\n" not in coded else b""


def _file_value(item: FormFile) -> dict[str, object]:
    value: dict[str, object] = {"type": "file", "size_bytes": item.size_bytes, "sha256": item.sha256}
    if item.filename:
        value["filename"] = item.filename
    if item.media_type:
        value["media_type"] = item.media_type
    return value


def _read_head(head: bytes) -> _Head:
    fields: dict[str, str] = {}
    text = head.decode("utf-8", "replace").replace("\r\n", "\n")
    for line in re.sub(r"\n[ \t]+", " ", text).split("\n"):
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    parameters = _parameters(fields.get("content-disposition", ""))
    filename = _extended(parameters.get("filename*")) or parameters.get("filename")
    media_type = fields.get("content-type", "").partition(";")[0].strip().lower()
    return _Head(parameters.get("name", "")[:1024], filename, media_type[:256] or None)


def _parameters(value: str) -> dict[str, str]:
    """Parameters by their name in lower case, the first of each; in quotes only `\\"` stands for something else,
    since browsers send `C:\\pictures\\cat.png` as it is."""
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(value[:MAX_HEAD_BYTES]):
        text = quoted.replace('\\"', '"') if quoted else plain.strip()
        found.setdefault(name.lower(), text.replace("%22", '"') if name.lower() == "filename" else text)
    return found


def _extended(value: str | None) -> str | None:
    """`UTF-8''na%C3%AFve.txt` of RFC 5987."""
    if value is None:
        return None
    charset, quote, rest = value.partition("'")
    _, other_quote, coded = rest.partition("'")
    if not quote or not other_quote or charset.lower() not in ("utf-8", "iso-8859-1", "us-ascii", ""):
        return None
    return unquote(coded, encoding=charset or "utf-8", errors="replace")
