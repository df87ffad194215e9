"""The wheel, unpacked outside the checkout, is the whole product: it serves, and brings its migrations along."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.fakes.upstream import ScriptedUpstream, answering
from tests.product import running_product

CHECKOUT = Path(__file__).parents[2]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.timeout(120)
async def test_the_wheel_serves_and_migrates_outside_the_checkout(tmp_path, monkeypatch, empty_database_url):
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist"))
    await asyncio.to_thread(subprocess.run, command, cwd=CHECKOUT, check=True, capture_output=True)
    [wheel] = (tmp_path / "dist").glob("verbatim_proxy-*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    monkeypatch.setenv("PYTHONPATH", str(installed))
    where = await asyncio.to_thread(
        subprocess.run,
        (sys.executable, "-c", "import app; print(app.__file__)"),
        cwd=tmp_path,
        capture_output=True,
    )
    assert Path(where.stdout.decode().strip()).is_relative_to(installed)
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        running_product(
            tmp_path / "data",
            cwd=tmp_path,
            upstream=f"http://127.0.0.1:{upstream.port}",
            database_url=empty_database_url,
        ) as product,
    ):
        request = urllib.request.Request(f"{product.proxy_url}/v1/models")
        answer = await asyncio.to_thread(urllib.request.urlopen, request, None, 30)
        with answer:
            assert answer.read() == b"{}"
        [row] = await product.exchanges(1)
        assert (row["path"], row["outcome"]) == ("/v1/models", "completed")
