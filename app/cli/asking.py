"""What every verb that asks the console takes: which console, as what output, and the filters that it takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.api_client import Api, open_api, token_from
from app.cli.filters import Pairs, keyword, take_filters
from app.cli.options import read_settings


def _option(metavar: str, sentence: str) -> Any:
    return typer.Option(metavar=metavar, help=sentence, rich_help_panel="Console")


_CONNECTION: tuple[tuple[str, Any], ...] = (
    (
        "server",
        Annotated[str | None, _option("URL", "The console; this machine's own where it is left out.")],
    ),
    (
        "token",
        Annotated[str | None, _option("TOKEN", "Its token, or @FILE; found in the data directory else.")],
    ),
    (
        "config",
        Annotated[Path | None, _option("FILE", "TOML file of settings; the environment wins over it.")],
    ),
)
_JSON = Annotated[
    bool | None,
    typer.Option("--json/--table", help="JSON lines or a table; JSON where the output is no terminal."),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which console is asked, for which exchanges, and whether JSON is wanted (None: where there is no terminal)."""

    api: Api
    filters: Pairs
    as_json: bool | None


def asking(run: Callable[..., None], options: Sequence[inspect.Parameter] = ()) -> Callable[..., None]:
    """The verb that `run(asked, …)` is, with these filters, and the options that all such verbs share, added."""
    own = list(inspect.signature(run, eval_str=True).parameters.values())[1:]
    shared = [keyword("as_json", _JSON), *(keyword(name, annotation) for name, annotation in _CONNECTION)]

    @functools.wraps(run)
    def verb(**values: Any) -> None:
        settings = read_settings(values.pop("config"))
        api = open_api(settings, values.pop("server"), token_from(values.pop("token")))
        filters = take_filters(values) if options else []
        run(Asked(api, filters, values.pop("as_json")), **values)

    parameters = sorted([*own, *options, *shared], key=lambda each: each.kind)
    annotations = {each.name: each.annotation for each in parameters}
    verb.__annotations__ = annotations
    vars(verb)["__signature__"] = inspect.Signature(parameters)
    return verb
