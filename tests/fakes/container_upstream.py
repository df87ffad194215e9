"""An upstream for scripts/docker-test, whose text runs in a container: standard library alone, on port 9000.

It answers chat completions, streamed where asked (`pause_seconds` between pieces), and says in `x-seen` the SHA-256 of
the body that it got.
"""

from __future__ import annotations

import hashlib
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 9000
PIECES = 10


class Upstream(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = json.loads(body)
        seen = hashlib.sha256(body).hexdigest()
        if asked.get("stream"):
            self._stream(seen, asked["pause_seconds"])
            return
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "Yes: 你好"},
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        answer = json.dumps(_chat(seen, "chat.completion", choice) | {"usage": usage}).encode()
        self._head(seen, "application/json", ("content-length", str(len(answer))))
        self.wfile.write(answer)

    def _stream(self, seen: str, pause_seconds: float) -> None:
        self._head(seen, "text/event-stream", ("transfer-encoding", "chunked"))
        for number in range(PIECES):
            choice = {"index": 0, "delta": {"content": f"{number} "}, "finish_reason": None}
            self._piece(
                b"data: " + json.dumps(_chat(seen, "chat.completion.chunk", choice)).encode() + b"\n\n"
            )
            time.sleep(pause_seconds)
        self._piece(b"data: [DONE]\n\n")
        self._piece(b"")

    def _piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _head(self, seen: str, content_type: str, length: tuple[str, str]) -> None:
        self.send_response(200)
        for name, value in (("content-type", content_type), ("x-seen", seen), length):
            self.send_header(name, value)
        self.end_headers()


def _chat(seen: str, kind: str, choice: dict[str, object]) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{seen[:8]}",
        "object": kind,
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [choice],
    }


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Upstream).serve_forever()
