"""app.telemetry.logs: one event, one line, whatever the values hold."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ConfigError
from app.telemetry.logs import (
    VALUE_MAX_CHARACTERS,
    JsonFormatter,
    LineFormatter,
    event_logger,
    setup_logging,
)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("verbatim")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def record_of(**fields: object) -> logging.LogRecord:
    record = logging.LogRecord("verbatim.journal", logging.INFO, "f", 1, "%s", ("sealed",), None)
    record.event, record.fields = "sealed", fields
    return record


def test_an_event_is_one_line_with_its_fields(stream: io.StringIO) -> None:
    setup_logging("info", "proxy-0", stream=stream)
    event_logger("journal").info("segment_sealed", bytes=12, path="/a b", last=None, ok=True)
    time, rest = stream.getvalue().split(" ", 1)
    assert time.endswith("Z")
    assert rest == 'info proxy-0 journal segment_sealed bytes=12 path="/a b" last=null ok=true\n'


def test_json_lines_keep_numbers_and_names(stream: io.StringIO) -> None:
    setup_logging("info", "recorder", json_lines=True, stream=stream)
    event_logger("batch").warning("late", seconds=1.5, text="好\n", event_count=2)
    line = json.loads(stream.getvalue())
    assert (line["level"], line["process"], line["logger"], line["event"]) == (
        "warning",
        "recorder",
        "batch",
        "late",
    )
    assert (line["seconds"], line["text"], line["event_count"]) == (1.5, "好\n", 2)


def test_a_field_cannot_replace_the_head() -> None:
    assert json.loads(JsonFormatter("p").format(record_of(level="forged", time="never")))["level"] == "info"


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.text() | st.binary() | st.integers()))
def test_no_value_can_break_a_line(fields: dict[str, object]) -> None:
    for formatter in (LineFormatter("p"), JsonFormatter("p")):
        assert formatter.format(record_of(**fields)).isprintable()


def test_a_value_cannot_pose_as_another_field() -> None:
    line = LineFormatter("p").format(record_of(path='x" level=error y="', other="a=b"))
    assert line.endswith('path="x\\" level=error y=\\"" other="a=b"')


def test_controls_and_bidi_marks_are_escaped_and_other_languages_are_not() -> None:
    line = LineFormatter("p").format(record_of(path="\x1b[2J\u202e\udc80\r\n你好"))
    assert line.endswith('path="\\x1b[2J\\u202e\\udc80\\r\\n你好"')


def test_a_long_value_is_cut() -> None:
    line = LineFormatter("p").format(record_of(path="x" * 5_000))
    assert len(line) < VALUE_MAX_CHARACTERS + 100 and line.endswith("x…")


def test_the_level_silences_what_is_below(stream: io.StringIO) -> None:
    setup_logging("warning", "p", stream=stream)
    event_logger("a").info("no")
    event_logger("a").warning("yes")
    assert "yes" in stream.getvalue() and "no\n" not in stream.getvalue()


def test_an_unknown_level_is_refused_with_what_it_takes() -> None:
    with pytest.raises(ConfigError, match=r"VERBATIM_LOG_LEVEL is loud.*debug, info, warning, error"):
        setup_logging("loud", "p")


def test_setting_up_again_does_not_double_the_lines(stream: io.StringIO) -> None:
    setup_logging("info", "p", stream=stream)
    setup_logging("info", "p", stream=stream)
    event_logger("a").info("once")
    assert stream.getvalue().count("once") == 1


def test_an_exception_is_one_line_with_its_place(stream: io.StringIO) -> None:
    setup_logging("info", "p", stream=stream)
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        event_logger("a").exception("it_failed", step=3)
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert 'step=3 error="ValueError: bad\\nvalue" at=tests/telemetry/test_logs.py:' in line


def test_other_libraries_lines_have_the_same_form(stream: io.StringIO) -> None:
    setup_logging("debug", "p", stream=stream)
    logging.getLogger("uvicorn.error").info("chatter")
    logging.getLogger("uvicorn.error").warning("odd %s", "a\nb")
    assert stream.getvalue().endswith('warning p uvicorn.error message text="odd a\\nb"\n')
    assert "chatter" not in stream.getvalue()
