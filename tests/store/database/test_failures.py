"""What errors mean: who has to act, and that no value gets into a message."""

from __future__ import annotations

import ssl

import asyncpg
import pytest

from app.errors import PoisonError, StoreError, StoreMisconfiguredError, StoreUnavailableError
from app.store.database.failures import classify, is_certain, is_missing_partition, translate, translated


def postgres_error(state: str, message: str = "message") -> asyncpg.PostgresError:
    error = asyncpg.PostgresError.new({"C": state, "M": message, "S": "ERROR"})
    assert isinstance(error, asyncpg.PostgresError)
    return error


@pytest.mark.parametrize(
    ("states", "kind"),
    [
        ("08000 08003 08006 57014 57P01 57P03 53100 53200 53300 55P03 55006", StoreUnavailableError),
        ("40001 40P01 58030 58P01 XX000 XX001 25006 25P03 P0001 99999", StoreUnavailableError),
        ("28000 28P01 3D000 3F000 42501 42P01 42703 0A000 42601", StoreMisconfiguredError),
        ("22001 22003 22021 22P02 22P05 23502 23503 23505 23514 54000 54001", PoisonError),
    ],
)
def test_each_sqlstate_has_its_meaning(states: str, kind: type[StoreError]) -> None:
    for state in states.split():
        assert classify(postgres_error(state)) is kind, state


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), StoreUnavailableError),
        (ConnectionRefusedError(), StoreUnavailableError),
        (asyncpg.InterfaceError("connection is closed"), StoreUnavailableError),
        (asyncpg.InternalClientError("protocol"), StoreUnavailableError),
        (asyncpg.OutdatedSchemaCacheError("cache"), StoreUnavailableError),
        (asyncpg.InvalidCachedStatementError("cached plan must not change"), StoreUnavailableError),
        (asyncpg.ClientConfigurationError("bad URL"), StoreMisconfiguredError),
        (ssl.SSLCertVerificationError("self-signed"), StoreMisconfiguredError),
    ],
)
def test_each_error_without_an_answer_has_its_meaning(error: Exception, kind: type[StoreError]) -> None:
    assert classify(error) is kind


def test_poison_quotes_no_value_not_even_in_the_causes() -> None:
    error = postgres_error("22P02", 'invalid input: "secret"')
    assert "secret" not in str(translate(error))
    with pytest.raises(PoisonError) as caught:
        with translated():
            raise error
    assert caught.value.__suppress_context__
    assert "22P02" in str(caught.value)


def test_other_errors_say_what_the_server_said_in_one_line() -> None:
    ours = translate(postgres_error("28P01", "password authentication failed\nmore"))
    assert str(ours).endswith("28P01 password authentication failed")
    with pytest.raises(StoreUnavailableError, match="ConnectionRefusedError refused"):
        with translated():
            raise ConnectionRefusedError("refused")


def test_a_connection_is_used_on_only_after_a_plain_refusal() -> None:
    assert is_certain(postgres_error("23505"))
    for error in (
        postgres_error("57014"),
        postgres_error("08006"),
        TimeoutError(),
        asyncpg.InterfaceError("x"),
    ):
        assert not is_certain(error)
    assert not is_missing_partition(postgres_error("22001"))
