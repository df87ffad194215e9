"""Which coding a client takes."""

from __future__ import annotations

import pytest

from app.api.compression import accepted_coding


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("br, deflate", "identity"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd;q=0.5, gzip;q=0.8", "gzip"),
        ("zstd;q=0, *", "gzip"),
        ("*;q=0", "identity"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.1, identity", "identity"),
        ("gzip;q=x", "identity"),
        ("gzip ; q=1.0", "gzip"),
    ],
)
def test_the_coding_with_the_highest_weight_is_taken_zstd_before_gzip(accepted, coding):
    assert accepted_coding(accepted) == coding
