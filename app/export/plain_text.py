"""Logged text made harmless for a terminal: what would steer it is shown instead."""

from __future__ import annotations

_NEWLINE, _TAB = 0x0A, 0x09
_PICTURES = 0x2400
# Marks that turn the direction of text around, break lines or hide (tags): what is read would not be what was said.
_STEERING = (*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029, 0xFEFF)
_SHOWN = {
    **{code: chr(_PICTURES + code) for code in range(0x20) if code not in (_NEWLINE, _TAB)},
    0x7F: "\u2421",
    **{code: f"<U+{code:04X}>" for code in _STEERING},
    **{code: f"<U+{code:04X}>" for code in range(0xD800, 0xE000)},
}


def plain(text: str) -> str:
    """The text with control characters as pictures (␛) or as their number; line ends and tabs stay."""
    return text.replace("\r\n", "\n").translate(_SHOWN)


def plain_line(text: str) -> str:
    """The same on one line: line ends and tabs are shown as spaces."""
    return plain(text).replace("\n", " ").replace("\t", " ")
