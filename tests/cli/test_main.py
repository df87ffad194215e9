"""The command line as a user sees it: verbs, help, one line an error."""

import re

import pytest

from tests.cli.processes import REPOSITORY, start

VERBS = [
    *("serve", "proxy", "record", "console", "token", "doctor"),
    *(
        "recost",
        "redecode",
        "db",
        "journal",
        "list",
        "show",
        "search",
        "conversations",
        "stats",
        "export",
        "tail",
        "storage",
        "erase",
    ),
]


def verbatim(*arguments: str, **environ: str) -> tuple[int, str, str]:
    settings = {f"VERBATIM_{name}": text for name, text in environ.items()}
    process = start("-m", "app", *arguments, environ={**settings, "COLUMNS": "200", "NO_COLOR": "1"})
    output, errors = process.communicate(timeout=20)
    return process.returncode, output, errors


def test_help_names_every_verb_with_a_sentence():
    code, output, _ = verbatim("--help")
    assert code == 0
    for verb in VERBS:
        (line,) = [line for line in output.splitlines() if line.strip("│ ").startswith(f"{verb} ")]
        assert line.rstrip(" │").endswith("."), line


def test_the_page_of_commands_tells_every_verb():
    page = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `verbatim (\w+)", page, re.MULTILINE)
    assert sorted(told) == sorted(VERBS)


@pytest.mark.parametrize("verb", ["serve", "recost", "db upgrade", "journal status"])
def test_each_verb_tells_of_the_settings_file(verb):
    code, output, _ = verbatim(*verb.split(), "--help")
    assert code == 0
    assert "--config" in output


def test_the_version_is_printed():
    assert verbatim("--version")[:2] == (0, "verbatim 0.1.0\n")


def test_a_wrong_setting_is_one_line_and_exit_code_2():
    code, output, errors = verbatim("serve", PORT="x")
    assert (code, output) == (2, "")
    assert errors.count("\n") == 1
    assert "VERBATIM_PORT=x is no whole number" in errors


def test_a_settings_file_is_read_by_every_verb(tmp_path):
    file = tmp_path / "verbatim.toml"
    file.write_text('console_token = "from-the-file"\n')
    assert verbatim("token", "--config", str(file))[1] == "from-the-file\n"
    assert verbatim("token", CONFIG=str(file))[1] == "from-the-file\n"


@pytest.mark.parametrize("verb", ["record", "console", "db upgrade"])
def test_a_part_alone_wants_a_database(verb, tmp_path):
    code, _, errors = verbatim(*verb.split(), DATA_DIR=str(tmp_path))
    assert code == 2
    assert "VERBATIM_DATABASE_URL is not set" in errors


def test_db_upgrade_brings_an_empty_database_up_to_date(empty_database_url):
    code, output, errors = verbatim("db", "upgrade", DATABASE_URL=empty_database_url)
    assert (code, output.startswith("the schema is at "), errors) == (0, True, "")
    assert verbatim("db", "upgrade", DATABASE_URL=empty_database_url)[0] == 0


def test_a_database_that_is_away_is_one_line_and_exit_code_1():
    code, _, errors = verbatim("db", "upgrade", DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/x")
    assert code == 1
    assert errors.count("\n") == 1
    assert "PostgreSQL cannot be reached" in errors
    assert "hunter2" not in errors


def test_an_unknown_verb_is_exit_code_2():
    assert verbatim("prxy")[0] == 2
