"""No credential of a call may be written."""

import tracemalloc

import pytest

from app.proxy.headers import is_taken_off
from app.proxy.secrets import Redactor, credentials_of, has_secret_bodies, tail_of

KEY = b"sk-canary-0123456789abcdefghij"
REDACTOR = Redactor(b"test key")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Authorization", b"Bearer " + KEY),
        (b"authorization", b"Basic " + KEY),
        (b"api-key", KEY),
        (b"X-Api-Key", KEY),
        (b"Cookie", b"session=" + KEY),
        (b"Set-Cookie", b"session=" + KEY),
        (b"Proxy-Authorization", b"Bearer " + KEY),
        (b"X-Anything-Else", KEY),
        (b"Sec-WebSocket-Protocol", b"realtime, openai-insecure-api-key." + KEY),
        (b"User-Agent", b"agent " + KEY),
        (b"Location", b"https://host/path?key=" + KEY),
        (b"Location", b"https://user:" + KEY + b"@host/path"),
        (b"OpenAI-Organization", KEY),
        (b"Content-Type", b"Bearer " + KEY),
    ],
)
def test_a_key_in_a_header_is_not_kept(name, value):
    headers = [(b"Content-Length", b"3"), (name, value), (b"Accept", b"*/*")]
    kept = REDACTOR.kept(headers, credentials_of(headers, b"/v1/x"))
    assert [field[0] for field in kept] == [b"Content-Length", name, b"Accept"]
    assert KEY not in b"".join(value for _, value in kept)
    assert kept[0][1] == b"3" and kept[2][1] == b"*/*"


def test_the_calls_own_credential_is_found_wherever_it_is_repeated():
    odd = b"not-like-a-key"
    headers = [(b"Authorization", b"Bearer " + odd), (b"User-Agent", b"a " + odd), (b"Accept", b"*/*")]
    kept = dict(REDACTOR.kept(headers, (odd,)))
    assert odd not in b"".join(kept.values())
    assert odd not in REDACTOR.target(b"/v1/" + odd + b"?model=" + odd, (odd,))


@pytest.mark.parametrize(
    "name", [b"key", b"api_key", b"api-key", b"token", b"sig", b"access_token", b"anything", b"k%65y"]
)
def test_query_values_that_are_not_on_the_list_are_fingerprints(name):
    kept = REDACTOR.target(b"/v1/x?limit=2&" + name + b"=" + KEY + b"&metadata[a]=b", ())
    assert KEY not in kept
    assert kept.startswith(b"/v1/x?limit=2&" + name + b"=hmac:") and kept.endswith(b"&metadata[a]=b")


def test_a_plain_target_is_kept_as_it_came():
    target = b"/v1/chat/completions/chatcmpl-1/messages?after=msg_1&limit=20&order=asc"
    assert REDACTOR.target(target, (KEY,)) == target


def test_a_field_behind_a_semicolon_is_not_kept_for_the_name_before_it():
    assert b"plain-secret" not in REDACTOR.target(b"/v1/x?limit=1;api_key=plain-secret", ())


def test_a_nameless_query_field_is_not_kept():
    assert KEY not in REDACTOR.target(b"/v1/x?" + KEY, ())


@pytest.mark.parametrize(
    ("headers", "target", "expected"),
    [
        ([(b"Authorization", b"Bearer abc")], b"/", (b"abc",)),
        ([(b"AUTHORIZATION", b"bearer  abc")], b"/", (b"abc",)),
        ([(b"api-key", b"abc")], b"/", (b"abc",)),
        ([(b"Sec-WebSocket-Protocol", b"realtime, openai-insecure-api-key.abc, x")], b"/", (b"abc",)),
        ([], b"/v1/x?limit=1&api_key=abc", (b"abc",)),
        ([], b"/v1/x", ()),
        ([(b"Authorization", b"Basic dXNlcjpwYXNz")], b"/", (b"Basic dXNlcjpwYXNz", b"dXNlcjpwYXNz")),
        (
            [(b"Authorization", b"Bearer first"), (b"x-api-key", b"second-of-them"), (b"api-key", b"few")],
            b"/v1/x?key=third-of-them-all&api_key=first",
            (b"first", b"third-of-them-all", b"second-of-them"),
        ),
    ],
)
def test_the_credentials_of_a_call_is_found(headers, target, expected):
    assert credentials_of(headers, target) == expected


def test_fingerprints_follow_the_key_alone():
    assert REDACTOR.fingerprint(KEY) == Redactor(b"test key").fingerprint(KEY)
    assert REDACTOR.fingerprint(KEY) != Redactor(b"other").fingerprint(KEY)
    assert len(REDACTOR.fingerprint(KEY)) == 16


def test_a_tail_is_shown_of_long_credentials_only():
    assert tail_of(KEY) == "ghij"
    assert tail_of(b"short-key") is None


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/realtime/client_secrets",
        b"/v1/realtime/client%5fsecrets",
        b"/v1//realtime//sessions?x",
        b"/v1/chatkit/sessions",
        b"/v1/organization/admin_api_keys/key_1",
        b"/v1/organization/projects/p/service_accounts",
        b"/v1/webhook_endpoints/we_1/rotate_secret",
        b"/v1/vaults/v1/credentials",
        b"/v1/realtime/translations/client_secrets",
    ],
)
def test_routes_with_secret_bodies_are_known(target):
    assert has_secret_bodies(target)


@pytest.mark.parametrize(
    "target", [b"/v1/chat/completions", b"/v1/realtime/calls", b"/v1/files?purpose=realtime/sessions"]
)
def test_other_routes_keep_their_bodies(target):
    assert not has_secret_bodies(target)


def test_what_hostile_heads_make_it_remember_stays_small() -> None:
    redactor = Redactor(b"test")
    tracemalloc.start()
    try:
        for number in range(1000):
            text = b"%08d" % number * 2000
            redactor.kept([(b"x-secret", text), (b"x" + text, b"1")])
            is_taken_off(text)
        assert tracemalloc.get_traced_memory()[0] < 2 << 20
    finally:
        tracemalloc.stop()
