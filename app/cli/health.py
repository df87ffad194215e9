"""Whether a listener answers, for the health check of a container: `python -m app.cli.health [proxy|console]`.

It runs every few seconds, so it takes the environment as it is and imports the standard library alone.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping

TIMEOUT_SECONDS = 2.0
PREFIXES = {"proxy": "VERBATIM_", "console": "VERBATIM_CONSOLE_"}
DEFAULT_PORTS = {"proxy": 8080, "console": 8081}
_OWN_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """0 where the listener answers `/healthz` with 200, else 1 and a line that says what happened."""
    listener = arguments[0] if arguments else "proxy"
    if listener not in PREFIXES:
        print(f"health: no listener is called {listener}; proxy and console are", file=sys.stderr)
        return 2
    connection = _connection(listener, environment)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        print(f"health: {listener}: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    if status != 200:
        print(f"health: {listener} answered {status}", file=sys.stderr)
        return 1
    return 0


def _connection(listener: str, environment: Mapping[str, str]) -> http.client.HTTPConnection:
    prefix = PREFIXES[listener]
    host = environment.get(f"{prefix}HOST", "").strip()
    host = _OWN_ADDRESS.get(host, host)
    port_text = environment.get(f"{prefix}PORT", "").strip()
    # Not a number: the variable of a Kubernetes service called `verbatim`.
    port = int(port_text) if port_text.isdecimal() else DEFAULT_PORTS[listener]
    if listener == "proxy" and environment.get("VERBATIM_TLS_CERT"):
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # it is asked whether we answer, not who we are
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
    return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
