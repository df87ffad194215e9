"""Tables on terminals of any width."""

from __future__ import annotations

import pytest

from app.cli.output import LEAST_LONG, MOST_SHORT, Shown, print_table

COLUMNS = (Shown("id"), Shown("model"), Shown("what was said", is_long=True))
ID = "01a2069a-de5e-7892-9bb3-565f5a8e6e48"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_ids_stay_whole_and_what_is_long_gives_way(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(COLUMNS, [(ID, "gpt-4o", "word " * 100), (ID, None, "龙猫")])
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{ID}  gpt-4o  word word")
    assert len(first.rstrip()) <= max(width, len(ID) + 6 + 4 + LEAST_LONG)
    assert second.rstrip().endswith("龙猫")


def test_a_name_that_is_far_too_long_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    print_table(COLUMNS, [(ID, "m" * 10_000, "said")])
    line = capsys.readouterr().out.splitlines()[1]
    assert "m" * (MOST_SHORT - 1) + "…  said" in line
