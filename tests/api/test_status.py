"""How recording goes; and a console whose database is away."""

import datetime
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.api.parameters import ListParameters
from app.api.schemas.status import Status
from app.api.server import create_console
from app.api.status import METRICS, render
from app.cli.messages import readers
from app.clock import utc_now
from app.exchange import CARRY_SLOT, RETRY_BOOT
from app.store.database.pool import Pool
from app.store.reading.query import Query
from app.store.reading.stored import RecorderStatus
from app.store.writing.ingest import Heartbeat
from app.store.writing.record import SegmentAccount
from tests.api.conftest import RECORDER, running_console

AWAY = "postgresql://nobody@127.0.0.1:1/none"


def beat() -> Heartbeat:
    return Heartbeat(
        host="host-1", version="0.1.0", started_at=utc_now(), lag_seconds=1.5, journal_bytes=4096
    )


async def test_every_recorder_is_told_with_its_lag(console):
    await console.ingest.heartbeat(beat())
    status = (await console.get("/api/status")).json()
    Status.model_validate(status, extra="forbid")
    (recorder,) = status["recorders"]
    assert (recorder["id"], recorder["host"], recorder["lag_seconds"], recorder["journal_bytes"]) == (
        str(RECORDER),
        "host-1",
        1.5,
        4096,
    )
    assert 0 <= recorder["silent_seconds"] < 60


async def test_the_metrics_are_read_by_prometheus_own_parser(console):
    await console.ingest.heartbeat(beat())
    text = (await console.get("/metrics")).text
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert families["verbatim_store_up"][0].value == 1
    assert families["verbatim_recorder_lag_seconds"][0].value == 1.5
    assert families["verbatim_recorder_lag_seconds"][0].labels == {
        "recorder": str(RECORDER),
        "host": "host-1",
    }
    assert families["verbatim_recorder_journal_bytes"][0].value == 4096
    assert sorted(families) == sorted(name for name, _ in METRICS)


async def test_what_was_accepted_is_accounted_or_unaccounted(console):
    await console.ingest.heartbeat(beat())
    await console.ingest.account(
        [
            SegmentAccount("a", 0, 0, 0, 9, recorded=6, off=1, dropped=2, quarantined=1),
            SegmentAccount("a", 0, 2, 15, 19, recorded=2, carried=3),
            SegmentAccount("c", CARRY_SLOT, 0, None, None, recorded=2),
            SegmentAccount(RETRY_BOOT, CARRY_SLOT, 0, None, None, recorded=1),
        ]
    )
    text = (await console.get("/metrics")).text
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert [each.value for each in families["verbatim_exchanges_numbered"]] == [20]
    counts = {each.labels["fate"]: each.value for each in families["verbatim_exchanges_accounted"]}
    assert counts == {"recorded": 10, "off": 1, "dropped": 2, "quarantined": 1, "expired": 0, "erased": 0}
    # Five numbers between two segments that are accounted, and one that was carried and is nowhere yet.
    assert [each.value for each in families["verbatim_exchanges_unaccounted"]] == [6]
    assert families["verbatim_exchanges_unaccounted"][0].labels == {
        "recorder": str(RECORDER),
        "host": "host-1",
    }


def test_a_hosts_name_cannot_break_the_metrics():
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 any time will do
    hostile = 'a"b\\c\nverbatim_store_up 7'
    status = RecorderStatus(RECORDER, hostile, "1", now, now, 0.0, 0, 0.0)
    families = {
        f.name: f.samples for f in text_string_to_metric_families(render([status], [], store_up=True))
    }
    assert families["verbatim_recorder_lag_seconds"][0].labels["host"] == hostile
    assert families["verbatim_store_up"][0].value == 1


async def test_while_the_database_is_away_the_answer_is_503_and_when_to_ask_again():
    async with running_console(AWAY) as console:
        for path in ("/api/exchanges", "/api/status", f"/api/exchanges/{RECORDER}/response"):
            answer = await console.get(path)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            error = answer.json()["error"]
            assert error["code"] == "store_unavailable"
            assert "nobody" not in error["message"]


async def test_while_the_database_is_away_the_console_lives_and_says_so():
    async with running_console(AWAY) as console:
        assert (await console.get("/healthz")).status_code == 200
        assert "verbatim_store_up 0" in (await console.get("/metrics")).text


async def test_a_database_without_a_schema_is_503_too_and_said_once(empty_database_url, caplog):
    async with running_console(empty_database_url) as console:
        for _ in range(3):
            answer = await console.get("/api/exchanges")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "store_misconfigured"
    assert [each.getMessage() for each in caplog.records].count("store_failed") == 1


def test_the_page_of_metrics_tells_every_one_of_the_console():
    section = page("metrics").partition("## Console")[2]
    assert re.findall(r"^\| `(\w+)` \| gauge \| (.+) \|$", section, re.MULTILINE) == list(METRICS)


def test_the_page_of_the_api_tells_every_call_and_every_filter():
    routes = create_console(Query(Pool(AWAY)), b"", frozenset(), readers()).openapi()["paths"]
    calls = {
        f"{method.upper()} {path}"
        for path, methods in routes.items()
        for method in methods
        if not path.startswith("/v1/")
    }
    told = "".join(line.split("|")[1] for line in page("console").splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`((?:GET|POST|DELETE) /[^`]+)`", told)) == calls
    filters = page("console").partition("## Which exchanges")[2].partition("curl")[0]
    assert set(ListParameters.model_fields) <= set(re.findall(r"`(\w+)=?`", filters))


def page(name: str) -> str:
    return (Path(__file__).parents[2] / "docs" / f"{name}.md").read_text(encoding="utf-8")
