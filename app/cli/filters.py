"""Filters as options: one for each that has a name, `--tag` and `--where` for the rest."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from app.errors import ConfigError

FILTERS: dict[str, str] = {
    "q": 'Said in either direction: words, "a phrase", -word for one that is not.',
    "model": "Model asked for.",
    "user": "User of the exchange.",
    "key": "Fingerprint of the credential.",
    "project": "Project.",
    "conversation": "Id or name of a conversation.",
    "since": "Begun then or later: 2026-11-22, 2026-11-22T10:00:00Z, or so long ago: 30m, 2h, 7d.",
    "until": "Begun before then.",
    "status": "404, 4xx, 400-409, or several with commas.",
    "outcome": "completed, client_left, upstream_failed, upstream_timed_out, refused, proxy_failed, …",
    "finish_reason": "Why the model ended: stop, length, tool_calls, …",
    "stream": "true or false.",
    "path": "Path as the client sent it.",
    "method": "HTTP method.",
    "upstream": "Name of the upstream; the default one is v1.",
    "upstream_id": "The provider's id: chatcmpl-…, resp_….",
    "min_duration_ms": "Took so many milliseconds, or more.",
    "max_duration_ms": "The same, or less.",
    "min_ttft_ms": "Milliseconds to the first byte of the answer, at least.",
    "max_ttft_ms": "The same, at most.",
    "min_input_tokens": "Tokens of input, at least.",
    "max_input_tokens": "The same, at most.",
    "min_output_tokens": "Tokens of output, at least.",
    "max_output_tokens": "The same, at most.",
    "min_cost": "US dollars, at least.",
    "max_cost": "The same, at most.",
}
"""Filters of the console that have a name, and what each takes (a test compares them)."""

Pairs = list[tuple[str, str]]
"""Names and values of a query."""

_PANEL = "Filters (they hold together)"
_WHERE = Annotated[
    list[str] | None,
    typer.Option(
        metavar="QUESTION",
        help="What was set or told: 'request.temperature>1', 'response.choices[0].finish_reason=length', "
        "'request.metadata.run~nightly', 'request.seed exists'; more than once: all hold.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
_TAG = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=VALUE]",
        help="Tag of the exchange, with this value or any; more than once: all hold.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]


def filter_options(without: frozenset[str] = frozenset()) -> Iterator[inspect.Parameter]:
    """The options of a verb that takes filters."""
    for name, sentence in FILTERS.items():
        if name not in without:
            option = typer.Option(help=sentence, rich_help_panel=_PANEL, show_default=False)
            yield keyword(name, Annotated[str | None, option])
    yield keyword("tag", _TAG)
    yield keyword("where", _WHERE)


def take_filters(values: dict[str, Any]) -> Pairs:
    """Takes the filters out of what a command line gave. Raises ConfigError."""
    given = [(name, values.pop(name, None)) for name in FILTERS]
    pairs = [(name, value) for name, value in given if value is not None]
    pairs += [_tag(each) for each in values.pop("tag", None) or ()]
    return pairs + [_question(each) for each in values.pop("where", None) or ()]


def keyword(name: str, annotation: Any) -> inspect.Parameter:
    """A parameter that a verb need not be given."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _tag(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name:
        raise ConfigError(f"--tag {text}: takes NAME=VALUE, or NAME for any value")
    return f"tag.{name}", value


def _question(text: str) -> tuple[str, str]:
    """A comparison without `=` (`request.temperature>1`) goes as it is."""
    if not text.startswith(("request", "response")):
        raise ConfigError(
            f"--where {text}: takes request.PATH or response.PATH with = != < <= > >= ~ or exists, such as "
            "'request.temperature>1'"
        )
    name, _, value = text.partition("=")
    return name, value
