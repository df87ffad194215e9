"""Forms in pieces: whatever a client makes of RFC 7578, fields and files are read, and nothing raises."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decode.multipart import (
    MAX_FIELD_BYTES,
    Form,
    FormField,
    FormFile,
    FormReader,
    boundary_of,
    form_fields,
    read_form,
)
from tests.decode.feeding import feed_every_way
from tests.decode.mutants import damage

TYPE = "multipart/form-data; boundary=XyZ"


def a_file(data: bytes, name: str = "file", filename: str | None = "a.png", kind: str | None = "image/png"):
    return FormFile(name, filename, kind, len(data), hashlib.sha256(data).hexdigest())


def read(body: bytes, content_type: str = TYPE) -> Form:
    form = feed_every_way(body, lambda pieces: read_form(pieces, content_type))
    assert isinstance(form, Form)
    return form


TWO_PARTS = (
    b'--XyZ\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--XyZ\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    b"\x89PNG\r\n--Xy\r\n--XyZZ\n\x00\r\n--XyZ--\r\n"
)


def test_fields_and_files_are_read_however_the_body_is_split() -> None:
    content = b"\x89PNG\r\n--Xy\r\n--XyZZ\n\x00"
    form = feed_every_way(
        TWO_PARTS, lambda pieces: read_form(pieces, TYPE), trailing=b"\r\n--XyZ\r\nepilogue"
    )
    assert form == Form([FormField("model", "whisper-1"), a_file(content)], is_whole=True)
    assert form_fields(form) == {
        "model": "whisper-1",
        "file": {
            "type": "file",
            "filename": "a.png",
            "media_type": "image/png",
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    }


HEAD = b'Content-Disposition: form-data; name="a"'


@pytest.mark.parametrize(
    "body",
    [
        b"--XyZ\n" + HEAD + b"\n\n1\n--XyZ--\n",
        b"preamble\r\n--XyZ \t\r\n" + HEAD + b"\r\n\r\n1\r\n--XyZ--",
        b"\r\n--XyZ\r\n" + HEAD.lower() + b"\r\n\r\n1\r\n--XyZ--epilogue",
        b'--XyZ\r\nContent-Disposition: form-data;\r\n name="a"\r\nX: y\r\n\r\n1\r\n--XyZ--\r\n',
        b"--XyZ\r\nContent-Disposition: form-data; name=a\r\nContent-Type: text/plain\r\n\r\n1\r\n--XyZ--\r\n",
    ],
    ids=["bare LF", "preamble and padding", "a line first", "folded head", "no quotes"],
)
def test_bodies_that_clients_make_differently_are_whole(body: bytes) -> None:
    assert read(body) == Form([FormField("a", "1")], is_whole=True)


def test_a_cut_body_gives_what_came() -> None:
    whole = b"--XyZ\r\n" + HEAD + b"\r\n\r\n1\r\n--XyZ\r\n" + HEAD + b"\r\n\r\n23"
    assert read(whole) == Form([FormField("a", "1"), FormField("a", "23")], is_whole=False)
    assert read(whole + b"\r\n--XyZ") == Form([FormField("a", "1"), FormField("a", "23")], is_whole=False)
    for length in range(len(whole)):
        assert read_form([whole[:length]], TYPE).is_whole is False


def test_an_empty_value_needs_no_line_of_its_own() -> None:
    body = b"--XyZ\r\n" + HEAD + b"\r\n\r\n--XyZ\r\n" + HEAD + b"\r\n\r\n\r\n--XyZ--"
    assert read(body).items == [FormField("a", ""), FormField("a", "")]


def test_a_part_without_a_head_is_a_field_without_a_name() -> None:
    assert read(b"--XyZ\r\n\r\nx\r\n--XyZ--").items == [FormField("", "x")]


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('filename="C:\\pictures\\cat.png"', "C:\\pictures\\cat.png"),
        ('filename="a\\"b.png"', 'a"b.png'),
        ('filename="a%22b.png"', 'a"b.png'),
        ("filename=cat.png", "cat.png"),
        ("filename=\"x\"; filename*=UTF-8''na%C3%AFve%20cat.png", "naïve cat.png"),
        ("filename*=utf-8'en'%e2%82%ac.png", "€.png"),
        ("filename*=iso-8859-1''%e9.png", "é.png"),
        ("filename=\"x.png\"; filename*=klingon''%e9.png", "x.png"),
        ('filename="päth; name=\\"z\\".png"', 'päth; name="z".png'),
        ('filename=""', ""),
        ('filename="open', "open"),
    ],
)
def test_names_of_files_are_read_as_clients_write_them(disposition: str, filename: str) -> None:
    body = f'--XyZ\r\nContent-Disposition: form-data; name="f"; {disposition}\r\n\r\n1\r\n--XyZ--'.encode()
    assert read_form([body], TYPE).items == [a_file(b"1", "f", filename, None)]


def test_bytes_of_a_media_type_are_a_file_without_a_name_too() -> None:
    body = b'--XyZ\r\nContent-Disposition: form-data; name="f"\r\nContent-Type: audio/wav\r\n\r\n1\r\n--XyZ--'
    assert read(body).items == [a_file(b"1", "f", None, "audio/wav")]


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; BOUNDARY="a b;c"', b"a b;c"),
        ("multipart/form-data;boundary=----WebKit1/+=?", b"----WebKit1/+=?"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=" + "x" * 300, b""),
    ],
)
def test_the_boundary_is_found_in_the_content_type(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


def test_a_lost_boundary_is_told_by_the_first_line() -> None:
    assert read(TWO_PARTS, "multipart/form-data") == read_form([TWO_PARTS], TYPE)
    assert read(b"no form\r\n" * 9, "multipart/form-data") == Form([], is_whole=False)
    assert read(b"-" * 400, "multipart/form-data") == Form([], is_whole=False)


def test_what_is_kept_is_bounded_and_what_is_not_is_told() -> None:
    long = b"--XyZ\r\n" + HEAD + b"\r\n\r\n" + b"x" * (MAX_FIELD_BYTES + 1) + b"\r\n--XyZ--"
    form = read_form([long], TYPE)
    assert form.is_whole is False
    assert form.items == [FormField("a", "x" * MAX_FIELD_BYTES)]
    many = b"".join(b"--XyZ\r\n" + HEAD + b"\r\n\r\n1\r\n" for _ in range(2_000)) + b"--XyZ--"
    form = read_form([many], TYPE)
    assert (len(form.items), form.is_whole) == (1_024, False)
    assert read_form([b"--XyZ\r\nX: " + b"y" * 20_000], TYPE) == Form([], is_whole=False)


def test_the_bytes_of_a_file_are_never_held() -> None:
    reader = FormReader(TYPE)
    reader.feed(b'--XyZ\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n')
    for _ in range(64):
        reader.feed(bytes(1 << 16))
        assert repr(reader).endswith("buffered=6>")
    assert reader.close().items == [a_file(bytes(4 << 20), "f", "f", None)]


@given(st.binary(max_size=300), st.text(max_size=40))
def test_any_bytes_give_a_form_alike_in_any_pieces(body: bytes, kind: str) -> None:
    for content_type in (TYPE, kind):
        whole = read_form([body], content_type)
        assert read_form([body[i : i + 1] for i in range(len(body))], content_type) == whole


def test_mutants_give_a_form_alike_in_any_pieces() -> None:
    chance = random.Random(7)
    for _ in range(3_000):
        body = damage(TWO_PARTS, TWO_PARTS, chance)
        point = chance.randrange(len(body) + 1)
        assert read_form([body[:point], body[point:]], TYPE) == read_form([body], TYPE)


def test_hostile_forms_take_time_in_proportion() -> None:
    for piece in (b"\r\n--XyZ", b"\r\n--XyZ\r\n", b"\r\n--XyZ" + b" " * 300, b";", b'; a="', b"\n--Xy"):
        read_form([b"--XyZ\r\n\r\n", piece * (4_000_000 // len(piece))], TYPE)
        read_form([b"--XyZ\r\nContent-Disposition: " + piece * 1_000 + b"\r\n\r\n"], TYPE)
