"""Log lines on stderr: one line an event, a fixed event name, fields as key=value or JSON.

    2026-11-22T20:55:38.120Z warning proxy-0 journal disk_almost_full free_bytes=104857600

Every value is taken for hostile: what is not printable is escaped, so that no value can end a line, add a
field or move a terminal's cursor, and a value is cut at VALUE_MAX_CHARACTERS.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys
import traceback
from collections.abc import Mapping
from typing import Final, TextIO

from app.errors import ConfigError

VALUE_MAX_CHARACTERS: Final = 2_000
TRACE_FRAMES: Final = 4
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_ROOT: Final = "verbatim"


class EventLogger:
    """Logs events of one part of the product; an event is a fixed string, all that varies is a field."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, /, **fields: object) -> None:
        """For someone who looks for a fault."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Something began, ended or changed."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Verbatim goes on, and somebody should look."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Something was lost or refused."""
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, failure: BaseException | None = None, /, **fields: object) -> None:
        """An error with its exception (default: the one being handled): adds the fields `error` and `at`."""
        failure = failure if failure is not None else sys.exc_info()[1]
        self._log(logging.ERROR, event, {**fields, **_describe(failure)})

    def _log(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", event, extra={"event": event, "fields": fields})


def event_logger(name: str) -> EventLogger:
    """The logger of one part, as in `event_logger("journal").info("segment_sealed", bytes=n)`."""
    return EventLogger(logging.getLogger(f"{_ROOT}.{name}"))


def setup_logging(
    level: str, process: str, *, json_lines: bool = False, stream: TextIO | None = None
) -> None:
    """Sends all events of this process to stderr; other libraries' from warning upwards. May be called again.

    Raises ConfigError for an unknown level.
    """
    if level not in LEVELS:
        raise ConfigError(f"VERBATIM_LOG_LEVEL is {escape(level)}; it takes {', '.join(LEVELS)}")
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter(process) if json_lines else LineFormatter(process))
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each.formatter, LineFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(LEVELS[level], logging.WARNING))
    logging.getLogger(_ROOT).setLevel(LEVELS[level])


class LineFormatter(logging.Formatter):
    """time level process logger event key=value …"""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line with no line break in it."""
        event, fields = _event_and_fields(record)
        head = (_time(record), record.levelname.lower(), self._process, _logger_name(record), event)
        pairs = [f"{escape(key)}={_quoted(value)}" for key, value in fields.items()]
        return " ".join([*map(escape, head), *pairs])


class JsonFormatter(LineFormatter):
    """The same as one JSON object a line, ASCII only; numbers, booleans and null stay what they are."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, one JSON object; a field never replaces one of the head."""
        event, fields = _event_and_fields(record)
        head = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": _logger_name(record),
            "event": event,
        }
        return json.dumps({key: _plain(value) for key, value in fields.items()} | head)


def escape(text: str) -> str:
    """Only printable characters: controls, line breaks, bidi marks and surrogates become backslash escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _event_and_fields(record: logging.LogRecord) -> tuple[str, Mapping[str, object]]:
    event, fields = getattr(record, "event", None), getattr(record, "fields", None)
    if isinstance(event, str) and isinstance(fields, Mapping):
        return event, fields
    failure = record.exc_info[1] if record.exc_info else None
    return "message", {"text": record.getMessage(), **_describe(failure)}


def _describe(failure: BaseException | None) -> dict[str, str]:
    """`error`: the type and message; `at`: the innermost frames, the failing one first."""
    if failure is None:
        return {}
    frames = traceback.extract_tb(failure.__traceback__)[-TRACE_FRAMES:]
    places = [f"{'/'.join(each.filename.split('/')[-3:])}:{each.lineno}" for each in reversed(frames)]
    return {"error": f"{type(failure).__name__}: {failure}", "at": " < ".join(places)}


def _quoted(value: object) -> str:
    plain = _plain(value)
    if plain is None or isinstance(plain, bool):
        return json.dumps(plain)
    text = str(plain)
    if text and text.isprintable() and not any(each in text for each in ' "=\\'):
        return text
    doubled = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escape(doubled)}"'


def _plain(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= VALUE_MAX_CHARACTERS else f"{text[:VALUE_MAX_CHARACTERS]}…"


def _logger_name(record: logging.LogRecord) -> str:
    return record.name.removeprefix(f"{_ROOT}.")


def _time(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
