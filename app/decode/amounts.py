"""Sizes, lengths and numbers of things as a person reads them in a list."""

from __future__ import annotations


def size_text(size_bytes: int) -> str:
    """`812 B`, `24 KB`, `2.1 MB`: powers of a thousand, one digit after the point below ten."""
    size = float(size_bytes)
    for unit in ("B", "KB", "MB"):
        if size < 999.5:
            return f"{size:.1f} {unit}" if size < 9.95 and unit != "B" else f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def seconds_text(seconds: float) -> str:
    """`12.4 s`, `7 s`, `3 min 20 s`."""
    if seconds < 60:
        return f"{round(seconds, 1):g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def count_text(count: int, noun: str) -> str:
    """`1 image`, `3 images`, `2 batches`."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in ("a", "e", "o", "u"):
        return f"{count} {noun[:-1]}ies"
    return f"{count} {noun}{'es' if noun.endswith(('s', 'ch', 'sh', 'x')) else 's'}"


def whole_number(value: object) -> int | None:
    """A JSON number that can be a count or a size in bytes, or None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 1 << 53 else None


def seconds_of(value: object) -> float | None:
    """A JSON number, or a text of one, that can be a length in seconds, or None."""
    if isinstance(value, str) and len(value) < 32:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 31_622_400 else None
