"""What fuzzing reached stays reached: each input that `scripts/fuzz` kept is tried again."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.security.fuzzed import SEEDS, TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_that_was_kept_still_gives_what_it_should(name, tmp_path):
    inputs = [base64.b64decode(line) for line in (CORPUS / f"{name}.txt").read_text().split()]
    assert len(inputs) >= 50
    for data in [*inputs, *SEEDS[name]]:
        TARGETS[name](data, tmp_path)
