"""`/healthz`, `/metrics`, `/api/status`: whether the console lives, and how recording goes."""

from __future__ import annotations

import uuid

from fastapi import APIRouter, Response

from app import __version__
from app.api import wire
from app.api.schemas.status import Status
from app.errors import StoreError
from app.store.reading.ledgers import Ledger
from app.store.reading.query import Query
from app.store.reading.stored import RecorderStatus

METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

METRICS: tuple[tuple[str, str], ...] = (
    ("verbatim_store_up", "1 where PostgreSQL answered, 0 where it did not."),
    ("verbatim_recorder_lag_seconds", "Age of the oldest exchange that has ended and is not recorded."),
    ("verbatim_recorder_journal_bytes", "Size of the recorder's journal."),
    ("verbatim_recorder_silent_seconds", "Time since the recorder was last heard of."),
    (
        "verbatim_exchanges_numbered",
        "Accepted exchanges, up to the last of each writer in a segment that the recorder let go.",
    ),
    ("verbatim_exchanges_accounted", "Of these, those of which it is known what became of them, by fate."),
    ("verbatim_exchanges_unaccounted", "Of these, those that wait in the journal, or are lost."),
)
"""The console's metrics, all gauges: name and sentence."""


def status_routes(store: Query) -> APIRouter:
    """The routes over one store."""
    routes = APIRouter(tags=["status"])

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the console lives; says nothing of the database. Takes no token."""
        return {"status": "ok"}

    @routes.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Metrics of the recorders and the store, as Prometheus text. Takes no token."""
        try:
            text = render(await store.recorder_status(), await store.ledgers.read(), store_up=True)
        except StoreError:
            text = render([], [], store_up=False)
        return Response(text, media_type=METRICS_CONTENT_TYPE)

    @routes.get("/api/status", response_model=Status)
    async def status() -> Response:
        """How recording goes: every recorder that was ever seen, and how far behind it was."""
        recorders = [wire.recorder(each) for each in await store.recorder_status()]
        return wire.answer({"object": "status", "version": __version__, "recorders": recorders})

    return routes


def render(recorders: list[RecorderStatus], ledgers: list[Ledger], *, store_up: bool) -> str:
    """Prometheus text."""
    samples: dict[str, list[str]] = {name: [] for name, _ in METRICS}
    samples["verbatim_store_up"].append(f" {int(store_up)}")
    for each in recorders:
        labels = f"{{{_labels(each.id, each.host)}}}"
        samples["verbatim_recorder_lag_seconds"].append(f"{labels} {each.lag_seconds}")
        samples["verbatim_recorder_journal_bytes"].append(f"{labels} {each.journal_bytes}")
        samples["verbatim_recorder_silent_seconds"].append(f"{labels} {each.silent_seconds}")
    for ledger in ledgers:
        labels = _labels(ledger.recorder_id, ledger.host)
        samples["verbatim_exchanges_numbered"].append(f"{{{labels}}} {ledger.numbered}")
        for fate, count in ledger.counts.items():
            samples["verbatim_exchanges_accounted"].append(f'{{{labels},fate="{fate}"}} {count}')
        samples["verbatim_exchanges_unaccounted"].append(f"{{{labels}}} {ledger.unaccounted}")
    lines: list[str] = []
    for name, sentence in METRICS:
        lines += [f"# HELP {name} {sentence}", f"# TYPE {name} gauge"]
        lines += [f"{name}{sample}" for sample in samples[name]]
    return "\n".join(lines) + "\n"


def _labels(recorder_id: uuid.UUID, host: str) -> str:
    return f'recorder="{recorder_id}",host="{_label(host)}"'


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
