"""What is wrong with a filter."""

from __future__ import annotations


class FilterError(ValueError):
    """A filter that cannot be read; `position` counts characters of `text` from 0."""

    def __init__(self, param: str, message: str, text: str, position: int = 0) -> None:
        super().__init__(message)
        self.param = param
        self.text = text
        self.position = position

    def __str__(self) -> str:
        where = f", character {self.position} of {self.text[:100]!r}" if self.text else ""
        return f"{self.param}: {self.args[0]}{where}"
