"""`list`, `search`, `show`, `conversations`, `tail` against a console on a real socket."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
import uuid

import pytest

from app.telemetry.tasks import spawn
from tests.api.conftest import TOKEN, running_console
from tests.cli.asked import on_terminal, verbatim
from tests.cli.processes import REPOSITORY
from tests.store.samples import NOON_NS, record, talk
from tests.store.search.corpus import saying
from tests.store.talks import Clock, Talker

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil[red]x[/red]"
STEERING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e]")
SECOND_NS = 1_000_000_000


@pytest.fixture
async def console(database_url):
    async with running_console(database_url) as running:
        yield running


def said(question: str, answer: str, number: int = 0, **changes):
    request = json.dumps({"model": "m", "messages": [{"role": "user", "content": question}]}).encode()
    response = json.dumps(
        {
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
            ]
        }
    ).encode()
    return talk(
        request,
        response,
        at_ns=NOON_NS + number * SECOND_NS,
        response_content_type="application/json",
        **changes,
    )


def id_of(sent) -> str:
    return str(uuid.UUID(bytes=sent.id))


def steering(shown: str) -> list[str]:
    """What logged text could have put there: control characters but the colours that rich writes."""
    return STEERING.findall(re.sub(r"\x1b\[[0-9;]*m", "", shown)) + re.findall(r"\x1b(?!\[[0-9;]*m)", shown)


async def test_a_list_in_a_pipe_is_json_lines_with_every_filter(console):
    sent = [record(at_ns=NOON_NS + at * SECOND_NS, user="ab"[at % 2], status=200 + at) for at in range(6)]
    await console.ingest.deliver(sent)
    done = await verbatim(console.url, "list", "--user", "a", "--limit", "2")
    assert done.code == 0, done.errors
    assert [json.loads(line)["status"] for line in done.text.splitlines()] == [204, 202]
    done = await verbatim(console.url, "list", "--user", "b", "--order", "asc", "--since", "2026-11-18")
    assert [json.loads(line)["status"] for line in done.text.splitlines()] == [201, 203, 205]


async def test_a_list_on_a_terminal_is_a_table_and_nothing_logged_steers_it(console):
    await console.ingest.deliver(
        [record(model=HOSTILE, user="a"), record(outcome="client_left", status=None)]
    )
    shown = await on_terminal(console.url, "list")
    assert "what was said" in shown
    assert "evil[red]x[/red]" in shown
    assert "client_left" in shown
    assert steering(shown) == []


async def test_a_transcript_is_shown_and_nothing_in_it_steers_the_terminal(console):
    sent = said(f"Q {HOSTILE}", f"A\n[user]\n{HOSTILE}")
    await console.ingest.deliver([sent])
    for name in (id_of(sent), "last"):
        shown = await on_terminal(console.url, "show", name)
        assert steering(shown) == []
        assert "Q ␛]0;owned␇" in shown
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
        assert re.findall(r"^\[.+\]", plain, re.MULTILINE) == ["[user]", "[assistant answered]"]
    piped = await verbatim(console.url, "show", id_of(sent))
    assert "[assistant answered]\n  A\n  [user]" in piped.text
    assert json.loads((await verbatim(console.url, "show", "last", "--json")).text)["id"] == id_of(sent)


async def test_raw_bodies_are_exact_in_a_pipe_and_harmless_on_a_terminal(console):
    body = bytes(range(256)) * 100
    sent = talk(body, b"\x1b[2Jx")
    await console.ingest.deliver([sent])
    assert (await verbatim(console.url, "show", id_of(sent), "--raw", "request")).output == body
    assert steering(await on_terminal(console.url, "show", id_of(sent), "--raw", "response")) == []


@pytest.mark.parametrize(
    "body", [b'{"a": "it\'s $HOME `id` \\\\ \xe4\xbd\xa0"}\n', bytes(range(256)), b"@/etc/passwd", b""]
)
async def test_a_curl_command_sends_the_same_bytes_again(console, body, tmp_path):
    sent = talk(body, b"x", path="/v1/chat/completions", query="a=b[1-3]", authority="http://127.0.0.1:9")
    await console.ingest.deliver([sent])
    done = await verbatim(console.url, "show", id_of(sent), "--curl")
    assert done.code == 0, done.errors
    command = done.text
    assert "Authorization: Bearer $OPENAI_API_KEY" in command
    assert not STEERING.search(command)
    # A shell runs it with a curl of the test's own, which writes down what it was given.
    (tmp_path / "curl").write_text(
        '#!/bin/sh\nfor a; do printf "%s\\0" "$a"; done >"$OUT.args"; cat >"$OUT.in"\n'
    )
    asked = f"--server {console.url} --token {TOKEN}"
    program = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m app "$@" {asked}\n'
    (tmp_path / "verbatim").write_text(program)
    for name in ("curl", "verbatim"):
        (tmp_path / name).chmod(0o755)
    out = tmp_path / "out"
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        command,
        stdin=asyncio.subprocess.DEVNULL,
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "OUT": str(out),
            "OPENAI_API_KEY": "sk-me",
            "PYTHONPATH": ".",
        },
    )
    assert await asyncio.wait_for(process.wait(), 20) == 0
    arguments = (tmp_path / "out.args").read_bytes().split(b"\0")[:-1]
    assert b"Authorization: Bearer sk-me" in arguments
    assert b"http://127.0.0.1:9/v1/chat/completions?a=b[1-3]" in arguments
    if b"--data-raw" in arguments:
        assert arguments[arguments.index(b"--data-raw") + 1] == body
    else:
        assert (tmp_path / "out.in").read_bytes() == body


async def test_a_search_shows_where_the_words_were_said(console):
    sent = [saying("Wo ist die Katze?"), saying("龙猫在哪里？", f"{HOSTILE} 龙猫")]
    await console.ingest.deliver(sent)
    (line,) = (await verbatim(console.url, "search", "龙猫")).text.splitlines()
    assert json.loads(line)["id"] == id_of(sent[1])
    shown = await on_terminal(console.url, "search", "龙猫")
    assert "龙猫在哪里" in shown
    assert steering(shown) == []
    assert (await verbatim(console.url, "search", "hund")).output == b""
    done = await verbatim(console.url, "search", '"open')
    assert (done.code, "answered with an error: 400 q, character" in done.errors) == (1, True)


async def test_conversations_are_listed_by_filters_and_one_is_shown_with_its_branches(console):
    talker = Talker(Clock())
    talker.changes = {"user": "ada"}
    sent = [talker.says("Hi", "Hello"), talker.says("Eins?", f"1 {HOSTILE}")]
    fork = talker.fork(2)
    sent += [fork.says("Zwei?", "2"), Talker(talker.clock).says("Other", "so", user="bob")]
    await console.ingest.deliver(sent)
    done = await verbatim(console.url, "conversations", "--user", "ada")
    (line,) = done.text.splitlines()
    assert (json.loads(line)["id"], json.loads(line)["exchanges"]) == (id_of(sent[0]), 3)
    told = json.loads((await verbatim(console.url, "conversations", id_of(sent[0]))).text)
    assert len(told["nodes"]) == 6
    shown = await on_terminal(console.url, "conversations", id_of(sent[0]), "--messages")
    assert steering(shown) == []
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()]
    said = [line for line in lines if not line.startswith("[")][1:]
    assert said[:5] == [
        "Hi",
        "Hello",
        "branch 1 of 2",
        "Eins?",
        "1 ␛]0;owned␇␛[2J<U+009B>31m<U+202E>evil[red]x[/red]",
    ]
    assert said[5:] == ["branch 2 of 2", "Zwei?", "2"]
    assert steering(await on_terminal(console.url, "conversations")) == []
    done = await verbatim(console.url, "conversations", str(uuid.UUID(int=7)))
    assert (done.code, "There is no conversation" in done.errors) == (1, True)
    done = await verbatim(console.url, "conversations", id_of(sent[0]), "--user", "ada")
    assert (done.code, "takes no filters" in done.errors) == (2, True)


async def test_a_tail_prints_what_is_recorded_and_ends_after_so_many(console):
    following = spawn(verbatim(console.url, "tail", "--user", "a", "--limit", "2"), name="tail")
    sent = [record(user="a"), record(user="b"), record(user="a")]
    await asyncio.sleep(2.5)
    for each in sent:
        await console.ingest.deliver([each])
    done = await asyncio.wait_for(following, 15)
    assert done.code == 0, done.errors
    assert [json.loads(line)["id"] for line in done.text.splitlines()] == [id_of(sent[0]), id_of(sent[2])]


async def test_a_tail_on_a_terminal_is_a_line_each(console):
    following = spawn(on_terminal(console.url, "tail", "--limit", "1"), name="tail")
    await asyncio.sleep(2.5)
    await console.ingest.deliver([record(model=HOSTILE)])
    shown = await asyncio.wait_for(following, 15)
    assert steering(shown) == []
    assert "11-18 12:00:00" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("list", "--status", "x"), 1, "answered with an error: 400 status"),
        (("list", "--status", "\x1b[2J\n"), 1, "answered with an error: 400 status"),
        (("list", "--sort", "size"), 1, "answered with an error: 400 sort"),
        (("list", "--tag", "=x"), 2, "--tag =x: takes NAME=VALUE"),
        (("list", "--where", "status=200"), 2, "--where status=200: takes request.PATH or response.PATH"),
        (("list", "--where", "request.x["), 1, "answered with an error: 400 request.x[: expected"),
        (("stats", "--by", "modle"), 1, "answered with an error: 400 group_by: expected one of"),
        (("show", "x"), 1, "answered with an error: 400 exchange_id"),
        (("show", str(uuid.UUID(int=7))), 1, "There is no exchange"),
        (("show", "last"), 1, "nothing is recorded yet"),
        (("show", "last", "--raw", "x"), 2, "--raw x: takes request or response"),
        (("export", "--format", "xml"), 2, "--format xml: takes one of"),
        (("export", "--resume"), 2, "--resume: takes --output"),
    ],
)
async def test_what_is_wrong_is_one_line(console, arguments, code, told):
    done = await verbatim(console.url, *arguments)
    assert (done.code, done.output) == (code, b"")
    assert done.errors.count("\n") == 1
    assert told in done.errors
    assert steering(done.errors) == []


async def test_the_local_console_and_its_token_are_found_in_the_data_directory(console, tmp_path):
    (tmp_path / "console-token").write_text(f"{TOKEN}\n")
    port = console.url.rpartition(":")[2]
    done = await verbatim("", "list", token=None, VERBATIM_DATA_DIR=str(tmp_path), VERBATIM_CONSOLE_PORT=port)
    assert (done.code, done.errors) == (0, "")
    (tmp_path / "mine").write_text(f"{TOKEN}\n")
    done = await verbatim(console.url, "list", token=f"@{tmp_path / 'mine'}")
    assert (done.code, done.errors) == (0, "")


@pytest.mark.parametrize("verb", ["list --limit 1000", "export", "show last"])
async def test_a_reader_that_has_enough_ends_it_quietly(console, verb):
    await console.ingest.deliver([said("x" * 500_000, "y"), *(record() for _ in range(500))])
    program = shlex.join(
        [sys.executable, "-m", "app", *verb.split(), "--server", console.url, "--token", TOKEN]
    )
    process = await asyncio.create_subprocess_shell(
        f"{program} | head -c 1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 20)
    assert (len(output), errors) == (1, b"")


async def test_a_console_that_is_away_or_unknown_is_one_line(tmp_path):
    done = await verbatim("http://127.0.0.1:9", "list")
    assert done.code == 1
    assert "the console at http://127.0.0.1:9 does not answer" in done.errors
    done = await verbatim("", "list", token=None, VERBATIM_DATA_DIR=str(tmp_path / "none"))
    assert done.code == 2
    assert "no console has run with" in done.errors
    done = await verbatim("http://example.invalid:1", "list", token=None, VERBATIM_DATA_DIR=str(tmp_path))
    assert "takes its token by --token" in done.errors
    assert not (tmp_path / "none").exists()
