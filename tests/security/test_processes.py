"""What other processes of the machine can see of Verbatim's: no secret, no core, and no open port to speak of."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from app.config import SETTINGS, Settings, forget_secrets, load_settings
from tests.product import running_product

SECRET = "canary-of-the-environment"


def test_secrets_leave_the_environment_once_they_are_read():
    given = {f"VERBATIM_{each.name}": "x" for each in SETTINGS if each.secret}
    environ = {**given, "VERBATIM_PORT": "1", "PATH": "/bin"}
    assert len(given) >= 4
    forget_secrets(environ)
    assert environ == {"VERBATIM_PORT": "1", "PATH": "/bin"}


def test_listeners_are_for_this_machine_alone_unless_told_otherwise():
    settings = Settings()
    assert (settings.host, settings.console_host) == ("127.0.0.1", "127.0.0.1")


def test_a_client_may_not_choose_its_project_unless_told_otherwise():
    assert "project" not in load_settings({}).client_headers


@pytest.mark.timeout(90)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc shows what others can see")
async def test_a_running_verbatim_shows_no_secret_and_leaves_no_core(tmp_path):
    async with running_product(tmp_path / "data", console_token=SECRET) as product:
        descendants = family(product.process.pid)
        commands = {pid: (Path("/proc") / str(pid) / "cmdline").read_bytes() for pid in descendants}
        assert len(commands) >= 5
        database = [pid for pid, command in commands.items() if b"postgres" in command.split(b"\0")[0]]
        assert database
        for pid in descendants:
            assert SECRET.encode() not in commands[pid]
            limits = (Path("/proc") / str(pid) / "limits").read_text()
            [core] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
            assert core.split()[4:6] == ["0", "0"]
        for pid in database:
            try:
                environ = (Path("/proc") / str(pid) / "environ").read_bytes()
            except PermissionError:
                continue
            assert SECRET.encode() not in environ
        assert SECRET not in product.log.read_text()
        assert await asyncio.to_thread(is_refused, product.port)


@pytest.mark.timeout(90)
async def test_a_proxy_that_others_reach_says_so_at_its_start(tmp_path):
    for host, told in (("0.0.0.0", True), ("127.0.0.1", False)):
        folder = tmp_path / host
        async with running_product(folder / "data", "proxy", host=host, wait_for="proxy") as product:
            assert ("open_to_others" in product.log.read_text()) is told


def family(parent: int) -> list[int]:
    """A process and all below it."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *(each for child in children for each in family(int(child)))]


def is_refused(port: int) -> bool:
    """Whether nobody answers on an address of this machine that is not the loopback one's."""
    name = socket.gethostname()
    others = {
        each[4][0]
        for each in socket.getaddrinfo(name, None)
        if not str(each[4][0]).startswith(("127.", "::1"))
    }
    for address in others:
        with socket.socket(socket.AF_INET6 if ":" in str(address) else socket.AF_INET) as client:
            client.settimeout(2)
            if client.connect_ex((str(address), port)) == 0:
                return False
    return True
