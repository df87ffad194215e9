"""`verbatim token`: the console's own token, and those that read one project."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from app.cli.asking import Asked, asking
from app.cli.console_token import console_token
from app.cli.options import ConfigFile, read_settings
from app.cli.output import Shown, clock_time, print_json, print_table, say, wants_json

COLUMNS = (Shown("id"), Shown("made"), Shown("project"), Shown("name", is_long=True))


def token() -> typer.Typer:
    """The verbs under `verbatim token`, which alone prints the console's own."""
    commands = typer.Typer(
        name="token",
        help="Print the console's token, making one where there is none yet; or tokens that read one project.",
        invoke_without_command=True,
    )
    commands.callback()(_own)
    commands.command("create")(asking(create))
    commands.command("list")(asking(list_tokens))
    commands.command("revoke")(asking(revoke))
    return commands


def _own(context: typer.Context, config: ConfigFile = None) -> None:
    """Print the console's token, making one where there is none yet; or see to tokens that read one project."""
    if context.invoked_subcommand is None:
        print(console_token(read_settings(config)))


def create(
    asked: Asked,
    *,
    project: Annotated[str, typer.Option(help="The project that it reads; it need not be there yet.")],
    read: Annotated[
        bool, typer.Option("--read", help="It reads and changes nothing; there is no other kind.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Whom it is for.")] = None,
) -> None:
    """Make a token that reads one project, and print it: it is shown this once."""
    if not read:
        raise typer.BadParameter("say --read: tokens of a project read, and do nothing else")
    wanted = {"project": project} if name is None else {"project": project, "name": name}
    made = asked.api.send("POST", "/api/tokens", wanted)
    if asked.as_json:
        print_json(made)
        return
    print(made["token"])
    say(f"It reads project {made['project']}. `verbatim token revoke {made['id']}` takes it away.")


def list_tokens(asked: Asked) -> None:
    """Show the tokens that read one project; their text is kept nowhere."""
    found = asked.api.get("/api/tokens")["data"]
    if wants_json(asked.as_json):
        for each in found:
            print_json(each)
        return
    print_table(
        COLUMNS,
        [(each["id"], clock_time(each["created_at"]), each["project"], each["name"]) for each in found],
    )


def revoke(
    asked: Asked,
    token_id: Annotated[uuid.UUID, typer.Argument(metavar="ID", help="As `token list` shows it.")],
) -> None:
    """Take a token away."""
    done = asked.api.send("DELETE", f"/api/tokens/{token_id}")
    if asked.as_json:
        print_json(done)
    else:
        print(f"{done['id']} is good for nothing any more")
