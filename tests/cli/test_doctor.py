"""`verbatim doctor` and `verbatim journal status`: what is wrong, in a line each."""

import fcntl
import socket
from pathlib import Path

import pytest

from tests.cli.test_main import verbatim


@pytest.fixture
def upstream():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def examine(data_dir: Path, upstream: str, **environ: str) -> tuple[int, dict[str, str]]:
    ports = {"PORT": free_port(), "CONSOLE_PORT": free_port()}
    code, output, errors = verbatim(
        "doctor", **{"DATA_DIR": str(data_dir), "UPSTREAM": upstream, **ports, **environ}
    )
    assert errors == ""
    lines: dict[str, str] = {}
    for line in output.splitlines():
        mark, part, text = line.split(None, 2)
        # Of several lines about one part the gravest counts.
        if part not in lines or mark == "FAIL":
            lines[part] = f"{mark} {text}"
    return code, lines


def test_before_the_first_start_all_is_well_and_nothing_is_left_behind(tmp_path, upstream):
    code, lines = examine(tmp_path / "data", upstream)
    assert code == 0, lines
    assert list(lines) == ["settings", "data", "journal", "database", "upstream", "proxy", "console"]
    assert all(line.startswith("ok") for line in lines.values())
    assert not (tmp_path / "data").exists()


def test_a_wrong_setting_is_told_first(tmp_path, upstream):
    code, lines = examine(tmp_path, upstream, LOG="everything")
    assert code == 1
    assert lines["settings"].startswith("FAIL")
    assert "VERBATIM_LOG=everything" in lines["settings"]


def test_each_part_that_is_wrong_is_told_with_what_to_do(tmp_path, upstream):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        code, lines = examine(
            tmp_path,
            f"http://127.0.0.1:{free_port()}",
            DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/x",
            PORT=taken,
            JOURNAL_MIN_FREE_BYTES="1000TiB",
            CONSOLE_TOKEN="short",
        )
    assert code == 1
    assert "lower VERBATIM_JOURNAL_MIN_FREE_BYTES" in lines["data"]
    assert lines["database"].startswith("FAIL PostgreSQL cannot be reached")
    assert "refused the connection" in lines["upstream"]
    assert f"VERBATIM_PORT={taken} on 127.0.0.1 is taken" in lines["proxy"]
    assert lines["console"].startswith("ok") or "VERBATIM_CONSOLE_TOKEN is short" in lines["console"]
    assert "hunter2" not in str(lines)


def test_a_database_that_waits_for_its_migrations_is_a_note(tmp_path, upstream, empty_database_url):
    code, lines = examine(tmp_path, upstream, DATABASE_URL=empty_database_url)
    assert code == 0
    assert lines["database"].startswith("note reached; its schema is at nothing")


def test_a_database_that_is_ready_is_well(tmp_path, upstream, database_url):
    code, lines = examine(tmp_path, upstream, DATABASE_URL=database_url)
    assert (code, lines["database"][:11]) == (0, "ok reached;")


def test_the_journals_segments_are_told_apart(tmp_path, upstream):
    journal = tmp_path / "journal"
    journal.mkdir()
    (journal / "s-0badcafe-0-00000000000000000000.seg").write_bytes(b"x" * 100)
    live = journal / "s-0badcafe-0-00000000000000000001.seg"
    live.write_bytes(b"x" * 50)
    (journal / "s-0badcafe-0-00000000000000000002.seg.new").touch()
    with live.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, output, _ = verbatim("journal", "status", DATA_DIR=str(tmp_path))
        assert code == 0
        assert "recorder  does not run" in output
        assert "segments  2, 150 bytes" in output
        states = {line.split()[0]: line.split()[3] for line in output.splitlines() if ".seg " in line}
        assert list(states.values()) == ["waits", "live"]
        _, lines = examine(tmp_path, upstream)
        assert "2 segments, 150 B" in lines["journal"]
        assert lines["journal"].startswith("note")
        assert "no recorder runs" in lines["journal"]


def test_a_full_journal_is_wrong(tmp_path, upstream):
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "s-0badcafe-0-00000000000000000000.seg").write_bytes(b"x" * 100)
    code, lines = examine(tmp_path, upstream, JOURNAL_MAX_BYTES="100")
    assert code == 1
    assert lines["journal"].startswith("FAIL full")


def test_an_empty_journal_is_said():
    code, output, _ = verbatim("journal", "status", DATA_DIR="/nonexistent/verbatim")
    assert code == 0
    assert "nothing was recorded here yet" in output
