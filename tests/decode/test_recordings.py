"""Real traffic: every recorded stream folds to the message that an independent fold made of it.

The recordings are no part of this repository; they are looked for where VERBATIM_RECORDINGS says, or in
`../shared/recordings/openai.jsonl` beside the checkout.
"""

from __future__ import annotations

import pytest

from tests.decode.reading import RECORDINGS
from tests.replay.meaning import compare_meanings, decode_pair, has_answer, pairs

KNOWN = {"chat/completions", "completions", "responses", "embeddings", "messages"}

pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_file(), reason="no recordings: set VERBATIM_RECORDINGS to a file of them"
)


def test_every_recorded_answer_means_what_an_independent_fold_says() -> None:
    report = compare_meanings(RECORDINGS)
    assert not report.differences
    assert report.streams + report.whole


def test_every_recorded_exchange_of_a_known_endpoint_is_decoded() -> None:
    for pair in pairs(RECORDINGS):
        if not has_answer(pair):
            continue
        decoded = decode_pair(pair)
        if decoded.route in KNOWN and pair["method"] == "POST":
            has_body = bool(pair["response_body"] or pair.get("response_body_b64"))
            wanted = "decoded" if has_body else "partial"
            assert decoded.capture_status == wanted, (pair["url"], pair["path"])
        assert not decoded.route.endswith("other"), pair["url"]
        assert decoded.stream == pair["is_sse"]
