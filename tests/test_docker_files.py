"""What can be said of the Docker files without an engine; scripts/docker-test tries them out in one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from app.config import Settings

REPOSITORY = Path(__file__).parent.parent
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
COMPOSE = (REPOSITORY / "docker-compose.yml").read_text()
DOCUMENTATION = (REPOSITORY / "docs/docker.md").read_text()
SIDECAR, POD = re.findall(r"```yaml\n(.+?)```", DOCUMENTATION, re.DOTALL)


def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's stages; each is its instructions, name and rest, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)
    found: list[list[tuple[str, str]]] = []
    for line in filter(None, re.sub(r"\\\n\s*", "", text).splitlines()):
        name, rest = line.split(" ", 1)
        if name == "FROM":
            found.append([])
        found[-1].append((name, rest))
    return found


def last(name: str) -> str:
    """What an instruction of the last stage says."""
    [rest] = [rest for each, rest in stages()[-1] if each == name]
    return rest


def service(name: str) -> str:
    """The text of one service of the compose file."""
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    assert found
    return found[1]


def settings_in(text: str) -> set[str]:
    """Names of our variables that a text gives to a container, without prefix and `_FILE`, in lower case."""
    names = re.findall(r"(?:^ +|^|name: )VERBATIM_([A-Z_]+?)(?:_FILE)?(?=[:=,])", text, re.MULTILINE)
    return {name.lower() for name in names}


def test_nothing_is_fetched_to_read_the_dockerfile() -> None:
    assert "syntax=" not in DOCKERFILE


def test_both_stages_stand_on_one_base() -> None:
    bases = [stage[0][1].split()[0] for stage in stages()]
    assert bases == ["python:3.13-slim"] * 2


def test_what_is_installed_is_checked_against_hashes_or_comes_from_here() -> None:
    commands = [part for name, rest in stages()[0] if name == "RUN" for part in rest.split(" && ")]
    installs = [command for command in commands if re.search(r"/pip\b.* (install|wheel) ", command)]
    assert len(installs) == 4
    for command in installs:
        assert "--require-hashes --only-binary :all:" in command or "--no-index --no-deps" in command


def test_the_last_stage_installs_nothing() -> None:
    runs = " ".join(rest for name, rest in stages()[-1] if name == "RUN")
    assert not re.search(r"\b(pip|apt|apt-get|curl|wget)\b", runs)


def test_what_builds_the_wheel_is_locked_with_all_that_it_needs() -> None:
    [pattern] = re.findall(r"keep = /\^\((.+?)\)==/", DOCKERFILE)
    taken = set(pattern.split("|"))
    locked = set(
        re.findall(r"^([a-z0-9-]+)==", (REPOSITORY / "requirements-dev.lock").read_text(), re.MULTILINE)
    )
    needed = {"hatchling"}
    while True:
        requirements = [
            Requirement(line) for name in needed for line in importlib.metadata.requires(name) or ()
        ]
        more = {each.name for each in requirements if not each.marker or each.marker.evaluate({"extra": ""})}
        if more <= needed:
            break
        needed |= more
    # An older Python needs more than this one, so what is taken may be more.
    assert needed - {"tomli"} <= taken <= locked


def test_the_build_gets_what_it_copies_and_nothing_else() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    let_through = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for name, rest in stages()[0]
        if name == "COPY"
        for source in rest.split()[:-1]
        if not source.startswith("--")
    }
    assert copied == let_through
    assert all((REPOSITORY / name).exists() for name in copied)


def test_the_user_is_a_number_and_has_a_name_for_initdb() -> None:
    assert last("USER") == "10001:10001"
    assert "useradd --uid 10001" in last("RUN")


def test_the_container_starts_and_stops_verbatim_itself() -> None:
    assert json.loads(last("ENTRYPOINT")) == ["verbatim"]
    assert json.loads(last("CMD")) == ["serve"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_health_check_runs_a_module_that_is_there() -> None:
    command = json.loads(last("HEALTHCHECK").split(" CMD ")[1])
    assert command[:2] == ["python", "-m"]
    assert importlib.util.find_spec(command[2])


def test_the_image_listens_on_every_address_and_keeps_its_data_in_the_volume() -> None:
    environment = dict(pair.split("=", 1) for pair in last("ENV").split())
    ours = {name[9:].lower(): value for name, value in environment.items() if name.startswith("VERBATIM_")}
    assert ours["host"] == ours["console_host"] == "0.0.0.0"
    assert ours["data_dir"] == last("VOLUME")
    defaults = Settings()
    assert last("EXPOSE").split() == [ours["port"], ours["console_port"]]
    assert [int(ours["port"]), int(ours["console_port"])] == [defaults.port, defaults.console_port]


@pytest.mark.parametrize("name", ["verbatim", "postgres"])
def test_services_are_hardened_and_keep_their_data(name: str) -> None:
    text = service(name)
    for line in ("read_only: true", "cap_drop: [ALL]", 'security_opt: ["no-new-privileges:true"]'):
        assert line in text
    assert re.search(rf"volumes:\n +- {name}:/var/lib/", text)
    assert re.search(rf"^volumes:\n(  .*\n)*  {name}:", COMPOSE, re.MULTILINE)


def test_both_services_have_a_health_check() -> None:
    assert "healthcheck:" in service("postgres")
    assert "disable" not in service("verbatim")  # it has the image's


def test_ports_are_published_on_the_loopback_address_alone() -> None:
    published = re.findall(r'- "(\S+):\d+"', COMPOSE)
    assert len(published) == 2
    assert all(each.startswith("127.0.0.1:") for each in published)


def test_the_database_is_on_an_inner_network_only() -> None:
    assert "networks: [store]" in service("postgres")
    assert "ports:" not in service("postgres")
    assert re.search(r"^networks:\n  store:\n    internal: true", COMPOSE, re.MULTILINE)


@pytest.mark.parametrize("text", [COMPOSE, SIDECAR, POD], ids=["compose", "sidecar", "pod"])
def test_containers_are_given_settings_that_exist(text: str) -> None:
    found = settings_in(text)
    assert "database_url" in found
    assert found <= set(Settings.model_fields)


@pytest.mark.parametrize("text", [SIDECAR, POD], ids=["compose", "pod"])
def test_sidecars_listen_on_the_loopback_address_with_a_read_only_root(text: str) -> None:
    assert re.search(r'VERBATIM_HOST(?:: |, value: )"?127\.0\.0\.1', text)
    assert re.search(r'VERBATIM_CONSOLE(?:: |, value: )"off"', text)
    assert "read_only: true" in text or "readOnlyRootFilesystem: true" in text
    assert re.search(r"(cap_|capabilities: \{)drop: \[ALL\]", text)


def test_no_index_or_mirror_is_named() -> None:
    for name in ("Dockerfile", "docker-compose.yml", "scripts/docker-engine"):
        addresses = re.findall(r"\b(?:https?|ftp)://[^\s\"']+", (REPOSITORY / name).read_text())
        assert all(re.match(r"https?://(127\.0\.0\.1|api\.openai\.com)", each) for each in addresses), name


def test_without_an_engine_the_real_test_says_so() -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "scripts/docker-test"],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--own-engine" in done.stderr


def test_the_engine_script_is_sound_bash() -> None:
    done = subprocess.run(
        ["bash", "-n", REPOSITORY / "scripts/docker-engine"], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
