"""Others that stand between clients and an API, each a process that the run starts and ends."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.product import free_port

LITELLM_VERSION = "1.106.2"
_START_SECONDS = 120.0
_INSTALL_SECONDS = 900.0
_ROOT = Path(__file__).resolve().parent.parent


@asynccontextmanager
async def running_usual(folder: Path, json_port: int, paced_port: int) -> AsyncIterator[tuple[int, int]]:
    """The forwarder of `bench.usual`: its port and process id."""
    port = free_port()
    command = [sys.executable, "-m", "bench.usual", str(port)]
    command += [f"http://127.0.0.1:{each}" for each in (json_port, paced_port)]
    async with _running(command, folder / "usual.log", port, "/nothing", os.environ) as pid:
        yield port, pid


@asynccontextmanager
async def running_litellm(program: Path, folder: Path, json_port: int) -> AsyncIterator[tuple[int, int]]:
    """LiteLLM's proxy, one worker, no database, no callbacks: its port and process id."""
    port = free_port()
    # By another name upstream: it refuses a temperature for gpt-5-mini.
    model = {
        "model": "openai/gpt-4.1-mini",
        "api_base": f"http://127.0.0.1:{json_port}/v1",
        "api_key": "sk-bench",
    }
    configuration = folder / "litellm.json"
    configuration.write_text(
        json.dumps({"model_list": [{"model_name": "gpt-5-mini", "litellm_params": model}]})
    )
    environment = {
        **os.environ,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        # It listens on loopback for this run only.
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "PATH": f"{program.parent}:{os.environ.get('PATH', '')}",
    }
    command = [str(program), "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)]
    async with _running(command, folder / "litellm.log", port, "/health/liveliness", environment) as pid:
        yield port, pid


async def installed_litellm(folder: Path) -> Path:
    """Its program, in an environment of its own in the folder, made where it is not there; raises RuntimeError."""
    program = folder / "bin" / "litellm"
    if not program.exists():
        print(f"bench: LiteLLM {LITELLM_VERSION} is being installed", file=sys.stderr)
        await _done(sys.executable, "-m", "venv", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q")
        await _done(*pip, f"litellm[proxy]=={LITELLM_VERSION}")
    return program


async def _done(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _INSTALL_SECONDS)
    except TimeoutError:
        raise RuntimeError(f"LiteLLM was not installed within {_INSTALL_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"LiteLLM could not be installed: {said.decode(errors='replace').strip()[-500:]}")


@asynccontextmanager
async def _running(
    command: list[str], log: Path, port: int, path: str, environment: Mapping[str, str]
) -> AsyncIterator[int]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, env=dict(environment), cwd=_ROOT
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not await asyncio.to_thread(_answers, f"http://127.0.0.1:{port}{path}"):
            if process.returncode is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace").strip()[-500:]
                raise RuntimeError(f"{' '.join(command[:3])} did not start: {said}")
            await asyncio.sleep(0.1)
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


def _answers(url: str) -> bool:
    """Whether anything answers, be it with an error."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
