"""What a run did and proved, for people."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.chaos.fault_plan import FaultKind
from tests.chaos.fault_targets import InjectedFault
from tests.chaos.run import ChaosOutcome

_MACHINE = ("processors", "processor", "memory", "system", "python", "engine")

_INTRODUCTION = """\
A broker, a usage store, two gateways and two workers, each a process of its own on one machine, are killed with -9
while events come, one in a hundred of them twice; each is started again after up to three seconds. A zombie is a worker
that is stopped until the other one has its partitions, and then goes on. Whoever posts goes to the other gateway when a
connection is lost, and posts again until it is told that all is accepted. Made by `make chaos`."""

_RAW = """\
Raw events: **{compared:,} compared, {verdict}**. Read back over ClickHouse's HTTP interface, each was made into the
text that was posted and compared with it byte for byte. Equal means: none is missing, none is there twice, none
differs, there is no other, and no event is among the rejects."""


def markdown(outcome: ChaosOutcome, machine: Mapping[str, Any]) -> str:
    """The whole report."""
    parts = [
        "# Chaos: does every event count once, whatever is killed?",
        _INTRODUCTION,
        f"**{'Yes' if not outcome.differences else 'NO'}.** " + _verdict(outcome),
        "## The run",
        "\n".join(_table(["", ""], _facts(outcome, machine))),
        "## What was struck",
        "\n".join(_table(["kind", "times", "median s to be ready again", "longest s"], _fault_rows(outcome.injected))),
        _overlaps(outcome.injected),
        "## What was proven",
        "\n".join(_table(["meter", "values compared", "sent", "counted", "differences"], _meters(outcome))),
        _raw(outcome),
        *(f"- {line}" for line in outcome.differences),
    ]
    return "\n\n".join(parts) + "\n"


def _verdict(outcome: ChaosOutcome) -> str:
    kills = sum(injection.fault.kind is not FaultKind.ZOMBIE for injection in outcome.injected)
    zombies = len(outcome.injected) - kills
    return f"{outcome.acked:,} events, {kills} kills, {zombies} zombies, {len(outcome.differences)} differences."


def _facts(outcome: ChaosOutcome, machine: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    options = outcome.options
    yield from ([name, str(machine[name])] for name in _MACHINE)
    yield ["seed", str(options.seed)]
    yield ["events acked", f"{outcome.acked:,}"]
    yield ["different ones among them", f"{outcome.different:,}"]
    yield ["sent twice", f"{outcome.acked - outcome.different:,}"]
    yield ["posts of 1,000 sent again, after a 503 or a lost connection", f"{outcome.posts_again:,}"]
    yield ["load", f"{outcome.seconds:,.0f} s"]
    yield ["acked", f"{outcome.acked / outcome.seconds:,.0f} events/s, held to {options.rate:,.0f}"]
    yield ["from the last ack until all is counted", f"{outcome.recovery:,.1f} s"]


def _fault_rows(injected: Sequence[InjectedFault]) -> Iterator[Sequence[str]]:
    for kind in FaultKind:
        waits = [injection.ready_after for injection in injected if injection.fault.kind is kind]
        if waits:
            yield [kind, str(len(waits)), f"{statistics.median(waits):.1f}", f"{max(waits):.1f}"]


def _overlaps(injected: Sequence[InjectedFault]) -> str:
    overlapping = sum(any(injection.overlaps(other) for other in injected) for injection in injected)
    return f"{overlapping} of them fell, or were still felt, while another process was down."


def _meters(outcome: ChaosOutcome) -> Iterator[Sequence[str]]:
    for proof in outcome.meters:
        differences = str(len(proof.differences) or "none")
        yield [f"`{proof.meter}`", f"{proof.values:,}", f"{proof.expected:,f}", f"{proof.found:,f}", differences]


def _raw(outcome: ChaosOutcome) -> str:
    verdict = "they DIFFER" if outcome.raw.differences else "all equal"
    return _RAW.format(compared=outcome.raw.compared, verdict=verdict)


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(row)} |" for row in rows)
