"""The rows of the fault campaign: what is broken on purpose, how often, and which tests do it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

KILLS = "tests/faults/test_kills.py"
DATABASE = "tests/faults/test_database.py"
DISK = "tests/faults/test_disk.py"
SHUTDOWN = "tests/faults/test_shutdown.py"
UPSTREAM = "tests/faults/test_upstream.py"
ABORTS = "tests/faults/test_aborts.py"
ANSWERS = "tests/faults/test_answers.py"
HEADS = "tests/faults/test_heads.py"
DAMAGE = "tests/journal/test_damage.py"
RECORDER_FAULTS = "tests/recorder/test_faults.py"


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of fault."""

    name: str
    fault: str
    wanted: str
    """How often, in words."""
    tests: tuple[str, ...] = ()
    """What pytest is told to run; of tests that name rows of their own, only this one's."""
    commands: tuple[tuple[str, ...], ...] = ()
    """Programs that hold it, too."""


ROWS = (
    Row("K1", "kill -9 of a worker under 200 streams", "200 kills", (KILLS,)),
    Row(
        "K2",
        "kill -9 of the recorder: at any time, in its transaction, between COMMIT and unlink, while it unlinks",
        "200 kills under load, 20 at each named point, 20 together with the worker",
        (KILLS, "tests/recorder/test_kill.py"),
    ),
    Row("K3", "kill -9 of everything at once", "50 restarts", (KILLS,)),
    Row("K4", "kill -9 of a recorder that catches up, again and again", "50 kills", (KILLS,)),
    Row("K5", "out of memory: worker, recorder", "20 each", (KILLS,)),
    Row("K6", "a worker that is stopped for a minute", "8 stops", (KILLS,)),
    Row(
        "K7",
        "loss of power: what was not synced is gone",
        "1,000 cuts of what was written",
        ("tests/faults/test_power.py",),
    ),
    Row("P1", "PostgreSQL stops and starts: fast, immediate, killed", "50 stops", (DATABASE,)),
    Row("P2", "PostgreSQL hangs for a minute with open sockets", "5 times", (DATABASE,)),
    Row(
        "P3",
        "the way to PostgreSQL resets, swallows, delays by 500 ms, passes 1 KB/s",
        "20 each",
        (DATABASE,),
    ),
    Row("P4", "PostgreSQL is away while 200 exchanges a second come", "an hour, then the drain", (DATABASE,)),
    Row("P5", "COMMIT succeeds and its answer is lost", "200 times", (DATABASE,)),
    Row(
        "P6",
        "PostgreSQL refuses: read-only, no login, a table gone, too many connections, a full disk",
        "5 each",
        (DATABASE,),
    ),
    Row("P7", "deadlocks and serialisation failures, every tenth transaction", "3 minutes", (DATABASE,)),
    Row(
        "P8",
        "poison: what PostgreSQL will not take, alone and among 500",
        "each kind",
        (
            "tests/recorder/test_delivery.py",
            f"{RECORDER_FAULTS}::test_poison_goes_to_quarantine_with_all_its_frames_and_nobody_else_does",
            f"{RECORDER_FAULTS}::test_a_full_quarantine_keeps_the_segments",
            "tests/decode/test_postgresql.py",
            "tests/decode/test_jsonsafe.py",
        ),
    ),
    Row("D1", "the journal's disk is full, calls pass all the same", "20 times", (DISK,)),
    Row("D2", "the journal's disk is full, calls are refused", "20 times", (DISK,)),
    Row(
        "D3",
        "a limit on file sizes; no space, a short write or EIO at every call of the disk",
        "100 limits, each call",
        (DISK, "tests/journal/test_faults.py"),
    ),
    Row("D4", "no inodes; the folder read-only, or deleted under the worker", "5 each", (DISK,)),
    Row("D5", "recorded segments are deleted on a full disk", "20 times", (DISK,)),
    Row(
        "S1",
        "a segment is cut off at every byte",
        "all",
        (f"{DAMAGE}::test_a_segment_cut_anywhere_gives_exactly_the_frames_before_the_cut",),
    ),
    Row(
        "S2",
        "a bit is flipped in every byte",
        "all",
        (
            f"{DAMAGE}::test_a_flipped_bit_costs_at_most_one_frame_and_invents_none",
            f"{RECORDER_FAULTS}::test_any_flipped_byte_costs_at_most_one_exchange",
        ),
    ),
    Row(
        "S3",
        "blocks of zeros or garbage, segments joined or doubled, no header, 10 GB of nothing",
        "each",
        (
            DAMAGE,
            "tests/journal/test_resync.py",
            f"{RECORDER_FAULTS}::test_a_segment_with_a_damaged_header_is_set_aside_and_accounted",
        ),
    ),
    Row(
        "S4",
        "payloads that hold forged frames, and damage around them",
        "10,000 frames",
        (
            f"{DAMAGE}::test_of_frames_forged_inside_a_payload_none_is_taken",
            f"{DAMAGE}::test_the_whole_bytes_of_another_segment_inside_a_payload_are_not_taken",
        ),
    ),
    Row(
        "S5",
        "parsers of frames, SSE and heads, fuzzed with coverage guidance",
        "10 minutes each",
        ("tests/security/test_fuzz_corpus.py",),
        tuple(("scripts/fuzz", name, "600") for name in ("frames", "sse", "heads")),
    ),
    Row(
        "S6",
        "the journal against a model: append, rotate, crash, fill, drain, delete, reopen, in any order",
        "10,000 runs",
        ("tests/journal/test_model.py",),
    ),
    Row(
        "C1",
        "clocks jump by a day and by ten years, back and forth",
        "10 each",
        ("tests/faults/test_clocks.py",),
    ),
    Row("U1", "the upstream resets after any number of bytes", "500 times", (UPSTREAM,)),
    Row("U2", "the upstream falls silent before the head, in the body, at its end", "100 times", (UPSTREAM,)),
    Row(
        "U3",
        "malformed SSE, cut anywhere",
        "the recordings byte by byte, and each defect",
        ("tests/decode/test_sse.py", "tests/recorder/test_splits.py"),
    ),
    Row(
        "U4",
        "answers whose length or chunks lie; 1xx, trailers, HTTP/1.0",
        "50 of each kind with a call behind it, and each cut anywhere",
        (ANSWERS, "tests/proxy/test_pool_answers.py", "tests/proxy/test_exchange.py"),
    ),
    Row(
        "U5",
        "bodies of 100 MB and 1 GB, up and down; a million chunks of one byte",
        "each",
        ("tests/faults/test_bodies.py",),
    ),
    Row("U6", "compressed bombs, double and truncated gzip", "each", ("tests/security/test_bombs.py",)),
    Row(
        "U7",
        "no DNS, no TLS, no connection, redirects, refusals",
        "20 each",
        (ANSWERS, "tests/proxy/test_dial.py", "tests/security/test_targets.py"),
    ),
    Row(
        "A1",
        "clients leave at any time, also while the upstream is being connected",
        "2,000, then 1,000 calls",
        (ABORTS,),
    ),
    Row("A2", "clients read 100 bytes a second", "1,000 for 5 minutes", (ABORTS,)),
    Row("A3", "heads and bodies that drip", "5,000 sockets", ("tests/security/test_slowloris.py",)),
    Row("A4", "10,000 streams at once", "10 minutes", (), (("bench/many",),)),
    Row(
        "A5",
        "heads too large; heads and trailers without end, too many connections",
        "100 heads of each kind at once",
        (HEADS, "tests/proxy/test_hostile_clients.py"),
    ),
    Row("A6", "request smuggling", "110 payloads, both shells", ("tests/security/test_smuggling.py",)),
    Row(
        "A7", "paths and hosts that point elsewhere", "200, both shells", ("tests/security/test_targets.py",)
    ),
    Row(
        "A8",
        "upgrades, CONNECT, TRACE, Expect, pipelining",
        "each",
        ("tests/proxy/test_tunnel.py", "tests/proxy/test_exchange.py", "tests/proxy/test_protocol.py"),
    ),
    Row("G1", "SIGTERM under 500 streams, short and long", "50 times", (SHUTDOWN,)),
    Row("G2", "restarts one after the other with one journal", "100 restarts", (SHUTDOWN,)),
    Row("G3", "SIGTERM while PostgreSQL is away", "20 times", (SHUTDOWN,)),
    Row(
        "G4",
        "a worker and a recorder that crash again and again",
        "10 minutes",
        (SHUTDOWN, "tests/cli/test_supervisor.py"),
    ),
    Row("L1", "200 calls a second, a fault a minute", "an hour", ("tests/faults/test_long.py",)),
    Row("L2", "a key in every place of a call", "each place", ("tests/faults/test_canary.py",)),
)


def row_named(name: str) -> Row | None:
    """The row of that name."""
    return next((each for each in ROWS if each.name == name.upper()), None)
