"""One conversation on a terminal: what was said, branch by branch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.cli.output import clock_time, cost, say, terminal
from app.export.plain_text import plain, plain_line

SYSTEM = "system"
DEEPEST = 12
"""Branches within branches that are still moved to the right."""
_STYLES = {"user": "bold cyan", "assistant": "bold green", SYSTEM: "bold yellow", "tool": "bold magenta"}

Node = Mapping[str, Any]


def print_tree(found: Mapping[str, Any]) -> None:
    """Prints a conversation; nothing in it steers the terminal."""
    from rich.padding import Padding
    from rich.text import Text

    console = terminal()
    console.print(Text(plain_line(_headline(found)), style="bold"))
    turns = {each["exchange_id"]: each for each in found["turns"]}
    for depth, heading, node in _walk(found["nodes"]):
        indent = (0, 0, 0, 2 * min(depth, DEEPEST))
        if heading:
            console.print(Padding(Text(heading, style="yellow"), indent))
        console.print(Padding(_title(node, turns), indent))
        for text in _said(node):
            console.print(Padding(Text(plain(text)), (0, 0, 0, indent[3] + 2)))
    if found["incomplete"]:
        say(f"the first {len(found['turns'])} of {found['exchanges']} exchanges; --limit shows more")
    if left := len(found["turns"]) - found["kept"]:
        say(f"the words of {left} exchanges are not kept")


def _headline(found: Mapping[str, Any]) -> str:
    begun, last = [clock_time(found[name]) if found[name] else "?" for name in ("started_at", "last_at")]
    parts = [f"{begun} to {last}", f"{found['exchanges']} exchanges", ", ".join(found["models"] or ())]
    parts += [found["name"] or "", cost(found["cost"]) or ""]
    return "  ".join(part for part in parts if part)


def _walk(nodes: Sequence[Node]) -> Iterator[tuple[int, str, Node]]:
    """Nodes, each below the one that it follows: how far to the right, and what is said above a branch."""
    below: dict[str | None, list[Node]] = {}
    for node in nodes:
        below.setdefault(node["parent_id"], []).append(node)
    waiting = _branches(below.get(None, ()), 0)
    while waiting:
        depth, heading, node = waiting.pop()
        yield depth, heading, node
        waiting += _branches(below.get(node["id"], ()), depth)


def _branches(children: Sequence[Node], depth: int) -> list[tuple[int, str, Node]]:
    """What follows a node, the first one last; what the system says is no branch."""
    beside = [(depth, "", each) for each in children if each["role"] == SYSTEM]
    others = [each for each in children if each["role"] != SYSTEM]
    if len(others) > 1:
        marked = [(depth + 1, f"branch {at} of {len(others)}", each) for at, each in enumerate(others, 1)]
    else:
        marked = [(depth, "", each) for each in others]
    return [*beside, *marked][::-1]


def _title(node: Node, turns: Mapping[str, Mapping[str, Any]]) -> Any:
    from rich.text import Text

    title = Text(f"[{plain_line(node['role'])}]", style=_STYLES.get(node["role"], "bold"))
    said_by = [turns[each] for each in node["exchange_ids"] if each in turns]
    if said_by:
        first = said_by[0]
        told = f"  {clock_time(first['started_at'])}  {first['exchange_id']}"
        if node["role"] == "assistant" and first["outcome"] != "completed":
            told += f"  {first['outcome']}"
        if len(said_by) > 1:
            told += f"  said {len(said_by)} times"
        if first["shortened"] and first["asked"] == node["id"]:
            told += "  (sent without all that is above)"
        title.append(plain_line(told), style="dim")
    return title


def _said(node: Node) -> Iterator[str]:
    """What a node says; the whole where it was asked for."""
    if node.get("messages") is None:
        yield node["preview"]
        return
    for message in node["messages"]:
        for text in (message["reasoning"], message["text"], message["refusal"]):
            if text:
                yield text
        for call in message["tool_calls"]:
            yield f"{call['name'] or '?'}({call['arguments'] or ''})"
        if not message["text"]:
            yield from (f"[{part['type']}]" for part in message["parts"] if _is_other(part))


def _is_other(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") not in (None, "text", "reasoning", "refusal")
