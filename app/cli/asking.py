"""What every verb that asks the console takes: which console, as what output, and which exchanges."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.api_client import Api, open_api, token_from
from app.cli.options import read_settings
from app.errors import ConfigError

FILTERS: tuple[tuple[str, str], ...] = (
    ("q", 'Words said in either direction; "a phrase", -word.'),
    ("model", "Model asked for."),
    ("user", "User of the exchange."),
    ("key", "Fingerprint of the credential."),
    ("project", "Project."),
    ("conversation", "Id or name of a conversation."),
    ("status", "HTTP status."),
    ("outcome", "completed, client_left, upstream_failed, upstream_timed_out, refused, proxy_…"),
    ("path", "Path as the client sent it."),
    ("method", "HTTP method."),
    ("upstream", "Name of the upstream; the default one is v1."),
    ("upstream_id", "The provider's id: chatcmpl-…, resp_…."),
    ("since", "Begun at this time or later: 2026-11-22, 2026-11-22T10:00:00Z."),
    ("until", "Begun before this time."),
)
"""Filters that are options, too: name and sentence. All that the console knows can be given as NAME=VALUE."""

Pairs = list[tuple[str, str]]

_CONNECTION: tuple[tuple[str, Any], ...] = (
    (
        "server",
        Annotated[
            str | None,
            typer.Option(metavar="URL", help="The console; this machine's own where it is left out."),
        ],
    ),
    (
        "token",
        Annotated[
            str | None,
            typer.Option(metavar="TOKEN", help="Its token, or @FILE; found in the data directory else."),
        ],
    ),
    (
        "config",
        Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="TOML file with settings; the environment wins over it."),
        ],
    ),
)
_JSON = Annotated[
    bool | None,
    typer.Option("--json/--table", help="JSON lines or a table; JSON where the output is no terminal."),
]
_CONDITIONS = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME=VALUE",
        help="Further filters: tag.team=blue, min_cost=0.1, 'request.temperature>1'.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which console is asked, for which exchanges, and whether JSON is wanted (None: where there is no terminal)."""

    api: Api
    filters: Pairs
    as_json: bool | None


def asking(run: Callable[..., None], *, with_filters: bool = True) -> Callable[..., None]:
    """The verb that `run(asked, …)` is, with the options that all such verbs share added to its own."""
    own = list(inspect.signature(run, eval_str=True).parameters.values())[1:]
    added = _added(with_filters=with_filters)

    @functools.wraps(run)
    def verb(**values: Any) -> None:
        settings = read_settings(values.pop("config"))
        api = open_api(settings, values.pop("server"), token_from(values.pop("token")))
        filters: Pairs = []
        if with_filters:
            given = ((name, values.pop(name)) for name, _ in FILTERS)
            filters = [(name, value) for name, value in given if value is not None]
            filters += [_pair(each) for each in values.pop("conditions") or ()]
        run(Asked(api, filters, values.pop("as_json")), **values)

    parameters = sorted([*own, *added], key=lambda each: each.kind)
    annotations = {each.name: each.annotation for each in parameters}
    verb.__annotations__ = annotations
    vars(verb)["__signature__"] = inspect.Signature(parameters)
    return verb


def _added(*, with_filters: bool) -> list[inspect.Parameter]:
    added = [_parameter("as_json", _JSON)]
    if with_filters:
        added.insert(0, _parameter("conditions", _CONDITIONS))
        for name, sentence in FILTERS:
            option = typer.Option(help=sentence, rich_help_panel="Filters", show_default=False)
            added.append(_parameter(name, Annotated[str | None, option]))
    return added + [_parameter(name, annotation) for name, annotation in _CONNECTION]


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _pair(condition: str) -> tuple[str, str]:
    """NAME=VALUE; a comparison without `=` (`request.temperature>1`) goes as it is."""
    name, equals, value = condition.partition("=")
    if not equals and "." not in name:
        raise ConfigError(f"{condition}: takes NAME=VALUE, such as model=gpt-4o")
    return name, value
