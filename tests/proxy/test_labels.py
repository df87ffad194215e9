"""What clients say of their own calls."""

import pytest

from app.exchange import LogMode
from app.proxy.headers import Refusal
from app.proxy.labels import Labels, read_labels

ALL = frozenset({"log", "user", "conversation", "tag", "project"})


def test_labels_are_read_from_their_fields():
    fields = {
        b"user": b"ann",
        b"conversation": b"c-1",
        b"tag-env": b"prod",
        b"log": b"metadata",
        b"project": b"shop",
    }
    assert read_labels(fields, ALL) == Labels(LogMode.METADATA, "ann", "c-1", "shop", {"env": "prod"})


def test_fields_that_are_not_obeyed_are_ignored_whatever_they_hold():
    fields = {b"project": b"NOT VALID", b"log": b"nonsense", b"unknown": b"x", b"tag-%": b"x"}
    assert read_labels(fields, frozenset()) == Labels()


def test_values_are_text_of_any_script():
    labels = read_labels({b"user": "Zoë 世界".encode(), b"conversation": b"\xff\xfe"}, ALL)
    assert isinstance(labels, Labels)
    assert labels.user == "Zoë 世界" and labels.conversation == "\ufffd\ufffd"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({b"log": b"loud"}, "x-verbatim-log"),
        ({b"project": b"No Spaces"}, "x-verbatim-project"),
        ({b"user": b"x" * 257}, "x-verbatim-user"),
        ({b"tag-": b"x"}, "x-verbatim-tag-"),
        ({b"tag-_x": b"x"}, "x-verbatim-tag-_x"),
        ({b"tag-%d" % number: b"x" for number in range(33)}, "x-verbatim-tag"),
    ],
)
def test_malformed_labels_are_refused_by_name(fields, param):
    refusal = read_labels(fields, ALL)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.param) == (400, param)


@pytest.mark.parametrize(
    ("setting", "asked", "kept"),
    [
        ("full", "metadata", "metadata"),
        ("metadata", "full", "metadata"),
        ("off", "full", "off"),
        ("full", "off", "off"),
    ],
)
def test_a_client_may_only_ask_for_less(setting, asked, kept):
    assert LogMode(setting).stricter(LogMode(asked)) is LogMode(kept)
