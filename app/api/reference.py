"""The page at /docs: the OpenAPI description as plain HTML, with no script and nothing loaded from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>
<h1>{title}</h1>
<p>{description}</p>
<p>Machine-readable: <a href="/openapi.json">/openapi.json</a>. Every call under /api takes
<code>Authorization: Bearer TOKEN</code>; <code>verbatim token</code> prints the token.</p>
"""


def reference_page(openapi: dict[str, Any]) -> str:
    """HTML that lists every call with its parameters."""
    info = openapi["info"]
    parts = [_HEAD.format(title=escape(info["title"]), description=escape(info.get("description", "")))]
    for path, calls in openapi["paths"].items():
        for method, call in calls.items():
            parts.append(_call(f"{method.upper()} {path}", call))
    return "".join([*parts, "</body></html>\n"])


def _call(heading: str, call: dict[str, Any]) -> str:
    text = escape(call.get("description") or call.get("summary", ""))
    parts = [f"<h2><code>{escape(heading)}</code></h2>\n<p>{text}</p>\n"]
    if parameters := call.get("parameters"):
        parts.append('<table border="1" cellpadding="4"><tr><th>parameter</th><th>meaning</th></tr>\n')
        for parameter in parameters:
            meaning = escape(parameter.get("description", ""))
            parts.append(f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{meaning}</td></tr>\n")
        parts.append("</table>\n")
    return "".join(parts)
