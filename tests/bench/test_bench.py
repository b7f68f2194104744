"""The arithmetic of the benchmarks; `make bench` and `make bench-cluster` run them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.cluster.__main__ import main
from tests.bench.cluster.resource_usage import ResourceUsage, resource_usage, resource_usage_at_end, since
from tests.bench.end_to_end import stages
from tests.bench.figures import Figure, documents

_BURN = """
import sys, time
while time.process_time() < 0.3:
    pass
print("burnt", flush=True)
sys.stdin.read()
"""
_PARENT = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {_BURN!r}]).returncode)"


def test_a_figure_reports_whether_it_reaches_its_target() -> None:
    """Rates must reach the target; latencies and memory must not exceed it."""
    assert Figure(name="rate", value=2, unit="/s", target=1).reached
    assert not Figure(name="memory", value=2, unit="GB", target=1, less_is_better=True).reached
    assert "MISSED (≤ 1)" in Figure(name="memory", value=2, unit="GB", target=1, less_is_better=True).line()


def test_a_figure_without_a_target_is_neither_reached_nor_missed() -> None:
    figure = Figure(name="gateway", value=2, unit="µs/event")
    assert figure.line().split() == ["gateway", "2", "µs/event"]
    assert documents([figure])[0]["reached"] is None


def test_stages_are_read_from_the_metrics() -> None:
    """Every sum of seconds is a stage."""
    text = 'tallyhouse_flush_seconds_sum{stage="plan"} 1.5\ntallyhouse_flush_seconds_count{stage="plan"} 3.0\n'
    assert stages(text) == {'flush_seconds_sum{stage="plan"}': 1.5}


def test_cpu_time_of_children_counts_while_they_run_and_after_they_end() -> None:
    """A process that only waits for its child has the child's CPU time."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "burnt\n"
        before = {"both": resource_usage([process.pid])}
        process.stdin.close()
        after = resource_usage_at_end(process)
    assert before["both"].seconds >= 0.3
    assert after.seconds >= before["both"].seconds
    assert since(before, {"both": after})["both"].seconds == after.seconds - before["both"].seconds


def test_memory_is_the_peak_of_the_whole_life() -> None:
    """It is no difference between two moments."""
    before, after = ResourceUsage(seconds=1, peak_memory=5), ResourceUsage(seconds=3, peak_memory=7)
    assert since({"store": before}, {"store": after}) == {"store": ResourceUsage(seconds=2, peak_memory=7)}


def test_the_cluster_benchmark_lists_its_parts_when_one_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown part is a usage error."""
    with pytest.raises(SystemExit):
        main(["--output", str(tmp_path / "figures.json"), "--only", "nothing"])
    assert "whole" in capsys.readouterr().err
