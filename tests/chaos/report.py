"""The report of a run, in Markdown."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.chaos.fault_plan import FaultKind
from tests.chaos.fault_targets import InjectedFault
from tests.chaos.run import ChaosOutcome

_MACHINE = ("processors", "processor", "memory", "system", "python", "engine")

_INTRODUCTION = """\
A broker, a usage store, two gateways and two workers, each a process of its own on one machine, are killed with -9
while events arrive, one in a hundred of them twice; each process is restarted after up to three seconds. A zombie is a
worker that is paused until the other worker owns its partitions, and then resumed. The load generator switches to the
other gateway when it loses a connection, and posts again until every event is accepted.
`make chaos` writes this page."""

_RAW = """\
Raw events: **{compared:,} compared, {verdict}**. Each event is read back over ClickHouse's HTTP interface, formatted as
it was posted, and compared byte for byte. Equal means: no event is missing, doubled or different, the table holds no
other event, and there are no rejects."""


def markdown(outcome: ChaosOutcome, machine: Mapping[str, Any]) -> str:
    parts = [
        "# Chaos: does every event count once, whatever is killed?",
        _INTRODUCTION,
        f"**{'Yes' if not outcome.differences else 'NO'}.** " + _verdict(outcome),
        "## The run",
        "\n".join(_table(["", ""], _facts(outcome, machine))),
        "## Faults",
        "\n".join(_table(["kind", "faults", "median s until ready again", "longest s"], _fault_rows(outcome.injected))),
        _overlaps(outcome.injected),
        "## Proof",
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
    yield ["events acknowledged", f"{outcome.acked:,}"]
    yield ["distinct events among them", f"{outcome.different:,}"]
    yield ["sent twice", f"{outcome.acked - outcome.different:,}"]
    yield ["posts of 1,000 events repeated after a 503 or a lost connection", f"{outcome.posts_again:,}"]
    yield ["duration of the load", f"{outcome.seconds:,.0f} s"]
    yield ["acknowledged per second", f"{outcome.acked / outcome.seconds:,.0f} events, limited to {options.rate:,.0f}"]
    yield ["from the last acknowledgement until all events are counted", f"{outcome.recovery:,.1f} s"]


def _fault_rows(injected: Sequence[InjectedFault]) -> Iterator[Sequence[str]]:
    for kind in FaultKind:
        waits = [injection.ready_after for injection in injected if injection.fault.kind is kind]
        if waits:
            yield [kind, str(len(waits)), f"{statistics.median(waits):.1f}", f"{max(waits):.1f}"]


def _overlaps(injected: Sequence[InjectedFault]) -> str:
    overlapping = sum(any(injection.overlaps(other) for other in injected) for injection in injected)
    return f"{overlapping} of the faults overlapped another one."


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
