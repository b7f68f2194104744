"""The report states whether every event counts once, and no path of the machine."""

from decimal import Decimal
from pathlib import Path

import msgspec

from tallyhouse.load.proof import MeterProof
from tests.bench import machine
from tests.chaos.fault_plan import FaultKind, PlannedFault
from tests.chaos.fault_targets import InjectedFault
from tests.chaos.raw_events import RawProof
from tests.chaos.report import markdown
from tests.chaos.run import ChaosOptions, ChaosOutcome

METER = MeterProof(meter="load_requests", values=7, expected=Decimal(990), found=Decimal(990), differences=())
OUTCOME = ChaosOutcome(
    options=ChaosOptions(events=1000, kills=1, zombies=1, seed=42, rate=100.0),
    injected=[
        InjectedFault(
            fault=PlannedFault(kind=kind, which=0, at=0, down=1.0), began=began, released=began + 1, ready=began + 3
        )
        for kind, began in ((FaultKind.BROKER, 0.0), (FaultKind.ZOMBIE, 2.0))
    ],
    acked=1000,
    different=990,
    posts_again=3,
    seconds=10.0,
    recovery=1.5,
    meters=[METER],
    raw=RawProof(compared=990, differences=[]),
)


def test_a_run_without_differences_says_yes(tmp_path: Path) -> None:
    report = markdown(OUTCOME, machine.facts(tmp_path))
    assert "**Yes.** 1,000 events, 1 kills, 1 zombies, 0 differences." in report
    assert "| broker | 1 | 2.0 | 2.0 |" in report
    assert "| `load_requests` | 7 | 990 | 990 | none |" in report
    assert "2 of the faults overlapped" in report
    assert str(tmp_path) not in report


def test_a_run_with_a_difference_says_no(tmp_path: Path) -> None:
    """And lists the differences of meters and of raw events."""
    meter = msgspec.structs.replace(METER, differences=("acme: sent 2, counted 3",))
    raw = RawProof(compared=990, differences=["an event is missing"])
    for outcome, word in (
        (msgspec.structs.replace(OUTCOME, meters=[meter]), "- load_requests: acme: sent 2, counted 3"),
        (msgspec.structs.replace(OUTCOME, raw=raw), "- an event is missing"),
    ):
        report = markdown(outcome, machine.facts(tmp_path))
        assert "**NO.**" in report
        assert word in report
