"""A disk that notes what is done to it, and what may be left of that when the power goes.

What was written and not synced may be there in part: cut off, with blocks of zeros where a file grew before its bytes
came. Names that were given or taken and not synced may be as they were: a file system changes them in their order.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.journal.disk import RealDisk

BLOCK_BYTES = 4096


@dataclass
class File:
    """Bytes, and how many of them are surely on the disk."""

    content: bytearray = field(default_factory=bytearray)
    synced_bytes: int = 0


@dataclass
class Left:
    """A file system as it goes on."""

    files: dict[int, File] = field(default_factory=dict)
    renamings: list[Callable[[dict[str, int]], object]] = field(default_factory=list)
    """What happened to names; the first `synced_renamings` are on the disk."""
    synced_renamings: int = 0
    told: list[Any] = field(default_factory=list)
    """What a test noted among the steps."""

    def after_power_loss(self, chance: random.Random) -> dict[str, bytes]:
        """Files by name, as they may be found."""
        names: dict[str, int] = {}
        for change in self.renamings[: chance.randint(self.synced_renamings, len(self.renamings))]:
            change(names)
        return {name: _remains(self.files[number], chance) for name, number in names.items()}


def _remains(file: File, chance: random.Random) -> bytes:
    sure, rest = file.content[: file.synced_bytes], file.content[file.synced_bytes :]
    kept = bytearray(rest[: chance.randint(0, len(rest))])
    for begin in range(0, len(kept), BLOCK_BYTES):
        if chance.random() < 0.1:
            kept[begin : begin + BLOCK_BYTES] = bytes(len(kept[begin : begin + BLOCK_BYTES]))
    return bytes(sure + kept)


Step = Callable[[Left], object]


class NotedDisk(RealDisk):
    """The real one; `steps` is what was done to it, in order, each to be done again to a `Left`."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._lock = threading.Lock()
        self._numbers: dict[int, int] = {}
        self._made = self._renamed = 0

    def create(self, path: Path) -> int:
        with self._lock:
            fd = super().create(path)
            self._made += 1
            self._renamed += 1
            number = self._numbers[fd] = self._made

            def make(left: Left) -> None:
                left.files[number] = File()
                left.renamings.append(lambda names: names.update({path.name: number}))

            self.steps.append(make)
            return fd

    def append(self, fd: int, buffers: Sequence[bytes]) -> int:
        with self._lock:
            data, number = b"".join(buffers), self._numbers[fd]
            self.steps.append(lambda left: left.files[number].content.extend(data))
            return super().append(fd, buffers)

    def truncate(self, fd: int, size_bytes: int) -> None:
        with self._lock:
            number = self._numbers[fd]

            def cut(left: Left) -> None:
                file = left.files[number]
                del file.content[size_bytes:]
                file.synced_bytes = min(file.synced_bytes, size_bytes)

            self.steps.append(cut)
            super().truncate(fd, size_bytes)

    def sync(self, fd: int) -> None:
        covered = self.size(fd)  # what is appended from here on need not be there when it is done
        super().sync(fd)
        with self._lock:
            number = self._numbers[fd]

            def settle(left: Left) -> None:
                left.files[number].synced_bytes = max(left.files[number].synced_bytes, covered)

            self.steps.append(settle)

    def sync_folder(self, path: Path) -> None:
        with self._lock:
            covered = self._renamed  # names given while it is under way need not be there
        super().sync_folder(path)
        with self._lock:

            def settle(left: Left) -> None:
                left.synced_renamings = max(left.synced_renamings, covered)

            self.steps.append(settle)

    def rename(self, old: Path, new: Path) -> None:
        with self._lock:
            self._renamed += 1
            self.steps.append(
                lambda left: left.renamings.append(
                    lambda names: names.update({new.name: names.pop(old.name)})
                )
            )
            super().rename(old, new)

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._renamed += 1
            self.steps.append(lambda left: left.renamings.append(lambda names: names.pop(path.name, None)))
            super().unlink(path)

    def close(self, fd: int) -> None:
        with self._lock:
            self._numbers.pop(fd, None)
            super().close(fd)

    def note(self, step: Step) -> None:
        """Something that is not the disk's, at its place among the steps."""
        with self._lock:
            self.steps.append(step)
