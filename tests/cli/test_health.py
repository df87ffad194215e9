"""The health check of the container, against real listeners."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from app.cli.health import main
from tests.product import free_port

REPOSITORY = Path(__file__).parent.parent.parent


@contextmanager
def listener(status: int, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that answers /healthz with a status; gives its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_a_listener_that_answers_is_healthy() -> None:
    with listener(200) as port:
        assert main([], {"VERBATIM_HOST": "0.0.0.0", "VERBATIM_PORT": str(port)}) == 0


def test_the_console_is_asked_where_it_is_named() -> None:
    with listener(200) as port:
        assert main(["console"], {"VERBATIM_PORT": "1", "VERBATIM_CONSOLE_PORT": str(port)}) == 0


def test_a_listener_with_tls_is_healthy_whoever_signed_its_certificate() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("proxy.example").configure_cert(context)
    with listener(200, context) as port:
        assert main([], {"VERBATIM_PORT": str(port), "VERBATIM_TLS_CERT": "cert.pem"}) == 0


def test_an_error_status_is_unhealthy_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    with listener(500) as port:
        assert main([], {"VERBATIM_PORT": str(port)}) == 1
    assert capsys.readouterr().err == "health: proxy answered 500\n"


def test_silence_is_unhealthy_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"VERBATIM_PORT": str(free_port())}) == 1
    assert "refused" in capsys.readouterr().err


def test_a_variable_of_a_kubernetes_service_is_no_port() -> None:
    with listener(200) as port:
        environment = {"VERBATIM_CONSOLE_HOST": "", "VERBATIM_CONSOLE_PORT": str(port)}
        assert main(["console"], environment | {"VERBATIM_PORT": "tcp://10.0.0.1:8080"}) == 0
    assert main([], {"VERBATIM_HOST": "127.255.255.254", "VERBATIM_PORT": "tcp://10.0.0.1:8080"}) == 1


def test_an_unknown_listener_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recorder"], {}) == 2
    assert "proxy and console" in capsys.readouterr().err


def test_the_check_imports_nothing_but_the_standard_library() -> None:
    script = (
        "import app.cli.health, sys; known = set(sys.stdlib_module_names) | {'app'}; "
        "print([n for n in sys.modules if n.split('.')[0] not in known and n != '__main__'])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
