"""The proxy's metrics: shared pages and their Prometheus text."""

import os
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.exchange import Outcome
from app.telemetry.metrics import METRICS, OUTCOME_SLOTS, PAGE_BYTES, SLOT_BYTES, MetricsMap, Slot, render


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_what_a_forked_worker_counts_is_seen_by_all():
    pages = MetricsMap(3)
    children = []
    for index in range(3):
        child = os.fork()
        if child == 0:
            for _ in range(100):
                pages.page(index).add(Slot.EXCHANGES_ACCEPTED)
            pages.page(index).add(Slot.REQUEST_BYTES, 10_000 * (index + 1))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert pages.total(Slot.EXCHANGES_ACCEPTED) == 300
    assert pages.total(Slot.REQUEST_BYTES) == 60_000


def test_counters_go_on_and_gauges_begin_anew_when_a_worker_starts_again():
    page = MetricsMap(1).page(0)
    page.add(Slot.COMPLETED, 7)
    page.add(Slot.EXCHANGES_IN_FLIGHT, 3)
    page.clear_gauges()
    assert page.get(Slot.COMPLETED) == 7
    assert page.get(Slot.EXCHANGES_IN_FLIGHT) == 0


def test_a_gauge_counted_down_too_often_is_negative_and_raises_nothing():
    page = MetricsMap(1).page(0)
    page.add(Slot.EXCHANGES_IN_FLIGHT, -1)
    assert page.get(Slot.EXCHANGES_IN_FLIGHT) == -1


def test_the_text_is_read_by_prometheus_own_parser():
    pages = MetricsMap(2)
    pages.page(0).add(Slot.CLIENT_LEFT, 2)
    pages.page(1).add(Slot.CLIENT_LEFT)
    pages.page(0).set(Slot.JOURNAL_SIZE_BYTES, 500)
    pages.page(1).set(Slot.JOURNAL_SIZE_BYTES, 700)
    pages.page(1).set(Slot.JOURNAL_OLDEST_AGE_MS, 1500)
    pages.page(0).set(Slot.EVENT_LOOP_LAG_MAX_US, 2500)
    pages.page(0).add(Slot.DROPPED_JOURNAL_FULL, 4)
    read = samples(render(pages))
    assert read["verbatim_exchanges_total", (("outcome", "client_left"),)] == 3
    assert read["verbatim_exchanges_total", (("outcome", "completed"),)] == 0
    assert read["verbatim_exchanges_dropped_total", (("reason", "journal_full"),)] == 4
    assert read["verbatim_journal_size_bytes", ()] == 700
    assert read["verbatim_journal_oldest_age_seconds", ()] == 1.5
    assert read["verbatim_event_loop_lag_max_seconds", ()] == 0.0025
    assert len(read) == len(Slot)


def test_every_slot_is_declared_in_exactly_one_metric():
    declared = [sample.slot for metric in METRICS for sample in metric.samples]
    assert sorted(declared) == sorted(Slot)
    assert len(Slot) * SLOT_BYTES <= PAGE_BYTES


def test_every_outcome_has_its_slot():
    assert {OUTCOME_SLOTS[outcome] for outcome in Outcome} == {sample.slot for sample in METRICS[0].samples}


def test_every_metric_has_a_name_by_the_rule_and_a_sentence():
    for metric in METRICS:
        assert re.fullmatch(r"verbatim_[a-z]+(_[a-z]+)+", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.sentence.endswith("."), metric.name
        assert metric.unit in {
            "exchanges",
            "connections",
            "bytes",
            "frames",
            "writes",
            "segments",
            "seconds",
            "retries",
            "stalls",
        }


def test_the_page_of_metrics_tells_every_one_with_its_kind_and_sentence():
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    section = page.partition("## Proxy")[2].partition("## Console")[0]
    told = re.findall(r"^\| `(\w+)`(?: by `\w+`)? \| (\w+) \| (.+) \|$", section, re.MULTILINE)
    assert told == [(metric.name, metric.kind, metric.sentence) for metric in METRICS]
