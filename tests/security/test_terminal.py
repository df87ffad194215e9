"""Whatever was logged, no command lets it steer a terminal, and no table of it runs in a spreadsheet."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from typing import Any

import pytest
import typer

from app.cli.main import command_line
from app.telemetry.tasks import spawn
from tests.cli.asked import on_terminal, verbatim
from tests.security.hostile_record import HOSTILE, hostile_records

RECORDS = 40
STEERING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Not U+200E and U+200F: ordinary Arabic and Hebrew have them, and they turn nothing around."""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
FORMULA = tuple("=+-@\t\r\n")
USER = HOSTILE[0]
SILENT = {
    *("serve", "proxy", "record", "console", "token", "doctor", "recost", "redecode", "db upgrade"),
    *("token create", "token revoke", "search rebuild", "export"),
}
"""Verbs that print nothing of the record: only names that Verbatim or the settings gave."""


def verbs() -> set[str]:
    """Every verb that there is."""

    def walk(group: Any, before: str) -> set[str]:
        found: set[str] = set()
        for name, command in group.commands.items():
            found |= walk(command, f"{before}{name} ") if hasattr(command, "commands") else {before + name}
        return found

    return walk(typer.main.get_command(command_line()), "")


def shown_verbs(exchange_id: str, conversation_id: str) -> list[tuple[str, ...]]:
    """Each verb that prints what was logged, in each of its forms."""
    return [
        ("list", "--limit", "100"),
        ("list", "--limit", "100", "--json"),
        ("show", exchange_id),
        ("show", exchange_id, "--json"),
        ("show", exchange_id, "--curl"),
        ("search", "x"),
        ("conversations",),
        ("conversations", conversation_id, "--messages"),
        ("stats", "--by", "model,user"),
        ("stats", "--by", "tag.NAME,endpoint"),
        ("storage",),
        *(("export", "--format", name) for name in ("jsonl", "csv", "txt", "md")),
        ("erase", "--user", USER, "--project", "other", "--dry-run"),
        ("token", "list"),
    ]


@pytest.fixture
async def recorded(console):
    await console.ingest.deliver(hostile_records(RECORDS))
    assert (
        await console.client.post("/api/tokens", json={"project": "p", "name": "= 1+1"})
    ).status_code == 201
    return console


@pytest.mark.timeout(180)
async def test_no_command_lets_the_record_steer_a_terminal(recorded):
    exchanges = (await recorded.get("/api/exchanges?path=/v1/chat/completions&status=200")).json()["data"]
    conversations = (await recorded.get("/api/conversations?limit=100")).json()["data"]
    asked = shown_verbs(exchanges[0]["id"], conversations[0]["id"])
    for arguments in asked:
        shown = await on_terminal(recorded.url, *arguments)
        assert STEERING.findall(COLOURS.sub("", shown)) == [], arguments
    told = {each[0] for each in asked} | {" ".join(each[:2]) for each in asked}
    assert verbs() - told - SILENT <= {"tail", *HELD_ELSEWHERE}


HELD_ELSEWHERE = {
    *("journal status", "journal verify", "journal quarantine list", "journal quarantine show"),
    "journal quarantine retry",
}
"""They read the journal, and no console."""


@pytest.mark.timeout(60)
async def test_a_tail_lets_nothing_steer_a_terminal(recorded):
    tail = spawn(on_terminal(recorded.url, "tail", "--limit", "20"), name="tail")
    number = 7
    while not tail.done():
        await recorded.ingest.deliver(hostile_records(20, seed=number))
        number += 1
        await asyncio.sleep(0.5)
    shown = tail.result()
    assert len(shown.splitlines()) >= 20
    assert STEERING.findall(COLOURS.sub("", shown)) == []


@pytest.mark.timeout(60)
async def test_no_cell_of_a_table_is_a_formula(recorded):
    done = await verbatim(recorded.url, "export", "--format", "csv")
    rows = list(csv.reader(io.StringIO(done.text, newline="")))
    assert len(rows) == RECORDS + 1 and len({len(row) for row in rows}) == 1
    texts = [each for row in rows for each in row if not re.fullmatch(r"-?[\d.]+", each)]
    assert not [each for each in texts if each.lstrip(" ").startswith(FORMULA)]
    assert any(each.startswith("'=HYPERLINK") for each in texts)


@pytest.mark.timeout(60)
async def test_json_lines_are_lines_whatever_was_logged(recorded):
    done = await verbatim(recorded.url, "list", "--limit", "100")
    lines = done.text.split("\n")[:-1]
    assert len(lines) == RECORDS and all(json.loads(line)["id"] for line in lines)


@pytest.mark.timeout(60)
async def test_errors_show_what_was_given_without_obeying_it(recorded):
    for word in HOSTILE[:2]:
        for arguments in (("list", "--status", word), ("show", word), ("list", "--where", word)):
            done = await verbatim(recorded.url, *arguments)
            assert done.code != 0
            assert STEERING.findall(COLOURS.sub("", done.errors)) == [], arguments
