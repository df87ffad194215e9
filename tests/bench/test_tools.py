"""The bench's readers of other programs: wrk, metrics, /proc; and what it says where one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import machine, processes, record, wrk

ROOT = Path(__file__).resolve().parents[2]


def test_a_lua_literal_holds_any_byte() -> None:
    assert wrk.lua_string(b'a"\r\n\\\x00') == '"a\\034\\013\\010\\092\\000"'


def test_the_result_of_wrk_is_found_among_what_it_prints() -> None:
    line = '{"sent":11,"answered":10,"seconds":2.0,"errors":0,"p50_us":120,"p99_us":400}'
    result = wrk.parse(f"Running 2s test\nVERBATIM-BENCH {line}\nmore")
    assert (result.sent, result.answered, result.rate) == (11, 10, 5.0)
    with pytest.raises(ValueError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1")


def test_a_metric_is_the_sum_of_its_samples() -> None:
    text = '# HELP a Of a.\n# TYPE a counter\na{reason="x"} 2\na{reason="y"} 3\nab 7\n'
    assert record.metric(text, "a") == 5
    assert record.metric(text, "ab") == 7
    assert record.metric(text, "b") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cpu_of_a_process_is_that_of_proc_stat() -> None:
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    exact = processes.cpu_seconds(os.getpid())
    assert exact == pytest.approx(processes.stat_cpu_seconds(os.getpid()), abs=0.05)
    assert exact == pytest.approx(time.process_time(), abs=0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_and_children_of_a_process_are_read() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        try:
            assert child.pid in processes.children(os.getpid())
            assert child.pid in processes.tree(os.getpid())
            with pytest.raises(RuntimeError, match="no child proxy-0"):
                processes.child(os.getpid(), "proxy-0")
            held = processes.memory(child.pid)
            assert 0 < held.rss_mb <= held.peak_rss_mb
            whole, without = (processes.tree_pss_mb(os.getpid(), without=each) for each in (-1, child.pid))
            assert whole is None or without is None or whole > without > 0
        finally:
            child.kill()


def test_the_processor_is_named_where_the_kernel_names_it() -> None:
    assert machine.cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n") == "Some CPU @ 2 GHz"
    assert machine.cpu_model("nothing")


def test_without_wrk_the_bench_says_so_in_one_line(tmp_path: Path) -> None:
    if any(shutil.which("wrk", path=folder) for folder in ("/usr/sbin", "/usr/local/sbin")):
        pytest.skip("wrk is where the bench always looks")
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "run"), "--quick"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "wrk" in done.stderr
