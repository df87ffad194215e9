"""`verbatim journal status`, and the verbs beside it."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from app.cli.journal_quarantine import quarantine
from app.cli.journal_verify import verify
from app.cli.options import ConfigFile, read_settings
from app.clock import wall_ns
from app.config import Settings
from app.errors import JournalError
from app.journal.reader import QUARANTINE, RECORDER_LOCK, JournalDirectory


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment as it lies on the disk."""

    name: str
    size_bytes: int
    quiet_seconds: float
    """How long ago it was last written."""
    is_live: bool
    """A running worker holds it."""


@dataclass(frozen=True, slots=True)
class JournalSummary:
    """What is in the journal now."""

    files: tuple[SegmentFile, ...]
    has_recorder: bool
    quarantined_bytes: int

    @property
    def segments(self) -> int:
        """How many segments there are."""
        return len(self.files)

    @property
    def size_bytes(self) -> int:
        """All segments together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def oldest_seconds(self) -> float:
        """How long ago the segment that waits longest was last written."""
        return max((file.quiet_seconds for file in self.files), default=0.0)


def journal() -> typer.Typer:
    """The verbs under `verbatim journal`."""
    commands = typer.Typer(name="journal", help="The journal on this machine's disk.", no_args_is_help=True)
    commands.command()(status)
    commands.command()(verify)
    commands.add_typer(quarantine())
    return commands


def status(config: ConfigFile = None) -> None:
    """Show the segments that wait to be brought into the database."""
    settings = read_settings(config)
    found = summarize(settings)
    print(f"journal   {settings.journal_dir}")
    if found is None:
        print("          empty; nothing was recorded here yet")
        return
    print(f"recorder  {'runs' if found.has_recorder else 'does not run'}")
    print(f"segments  {found.segments}, {found.size_bytes} bytes of {settings.journal_max_bytes}")
    for file in found.files:
        state = "live" if file.is_live else "waits"
        print(
            f"          {file.name}  {file.size_bytes:>12} bytes  {state:<5}  quiet for {file.quiet_seconds:.1f} s"
        )
    if found.quarantined_bytes:
        print(
            f"set aside {found.quarantined_bytes} bytes, in quarantine/: see `verbatim journal quarantine list`"
        )


def summarize(settings: Settings) -> JournalSummary | None:
    """What is in the journal's directory; None where there is none. Raises JournalError."""
    directory = JournalDirectory(settings.journal_dir)
    try:
        sizes = directory.disk.sizes(directory.path)
        set_aside = _sizes(directory, QUARANTINE)
        files = tuple(
            filter(None, (_look(directory, name, sizes.get(name, 0)) for name in directory.segments()))
        )
        return JournalSummary(files, _has_recorder(directory), sum(set_aside.values()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"{directory.path}: {error.strerror}") from error


def _sizes(directory: JournalDirectory, folder: str) -> dict[str, int]:
    try:
        return directory.disk.sizes(directory.path / folder)
    except FileNotFoundError:
        return {}


def _look(directory: JournalDirectory, name: str, size_bytes: int) -> SegmentFile | None:
    try:
        modified_ns = directory.disk.modified_ns(directory.path / name)
        is_live = not directory.is_orphan(name)
    except FileNotFoundError:
        # The recorder was done with it in this very moment.
        return None
    return SegmentFile(name, size_bytes, max(0.0, (wall_ns() - modified_ns) / 1_000_000_000), is_live)


def _has_recorder(directory: JournalDirectory) -> bool:
    """Whether a recorder has the journal; looking takes its place for a moment where it is free."""
    try:
        lock = directory.disk.open(directory.path / RECORDER_LOCK)
    except FileNotFoundError:
        return False
    try:
        return not directory.disk.try_lock(lock)
    finally:
        directory.disk.close(lock)
