"""Listening sockets, and the one line that a port that cannot be had becomes."""

import socket

import pytest

from app.cli.listeners import bind, url
from app.errors import ConfigError


def close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


def refusal(host: str, port: int) -> str:
    with pytest.raises(ConfigError) as caught:
        bind(host, port, "VERBATIM_")
    return str(caught.value)


def test_port_0_is_any_free_port_and_the_same_on_every_address():
    sockets = bind("localhost", 0, "VERBATIM_")
    assert len({each.getsockname()[1] for each in sockets}) == 1
    assert url("http", sockets[0]).endswith(f":{sockets[0].getsockname()[1]}")
    close(sockets)


def test_a_port_that_is_taken_is_said_with_the_setting_to_change():
    sockets = bind("127.0.0.1", 0, "VERBATIM_")
    port = sockets[0].getsockname()[1]
    assert f"VERBATIM_PORT={port} on 127.0.0.1 is taken by another program" in refusal("127.0.0.1", port)
    close(sockets)
    close(bind("127.0.0.1", port, "VERBATIM_"))


def test_an_address_of_another_machine_is_said():
    assert "VERBATIM_HOST=192.0.2.1 is no address of this machine" in refusal("192.0.2.1", 0)


def test_a_name_that_does_not_resolve_is_said():
    assert "VERBATIM_HOST=no.such.host.invalid cannot be resolved" in refusal("no.such.host.invalid", 0)


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")])
def test_the_url_is_one_that_works_on_this_machine(host, shown):
    sockets = bind(host, 0, "VERBATIM_")
    assert url("https", sockets[0]) == f"https://{shown}:{sockets[0].getsockname()[1]}"
    close(sockets)
