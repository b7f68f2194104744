"""What came late for periods that are billed already: the lines it makes, and how far each period is then."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from rating.core.billed_usage import to_document
from rating.core.cycle_step import CycleStep
from rating.core.late import late_lines
from rating.core.rated_lines import to_new_line
from rating.core.rated_period import RatedPeriod
from rating.runs.measuring import MeasuredUsage, UsageKey
from schemas.errors import Busy
from schemas.flush import Watermark
from schemas.invoice import NewLine


class UsageBehind(Busy):
    """The usage store answers from before what was billed of it: nothing can be said of what came since."""


class LateBill(NamedTuple):
    """All that came late for a turn."""

    lines: tuple[NewLine, ...]
    rerated: tuple[RatedPeriod, ...]
    """As they are with it, those included that it made no line for."""


def billed_late(step: CycleStep, measured: Mapping[UsageKey, MeasuredUsage]) -> LateBill:
    """Raises UsageBehind."""
    lines: list[NewLine] = []
    rerated: list[RatedPeriod] = []
    for period in step.open_periods:
        found = measured[step.before.id, period.price.code, period.service.start]
        if found.quantities == period.quantities:
            continue
        _check_newer(period, found.watermark)
        rerated.append(msgspec.structs.replace(period, quantities=found.quantities, watermark=found.watermark))
        for line in late_lines(period, found.quantities, step.plan.currency):
            usage = line.usage and to_document(line.usage, period.service.portion, found.watermark)
            lines.append(to_new_line(line, usage))
    return LateBill(lines=tuple(lines), rerated=tuple(rerated))


def _check_newer(period: RatedPeriod, watermark: Watermark) -> None:
    counted = watermark.flushes
    if any(counted.get(partition, -1) < flush for partition, flush in period.watermark.flushes.items()):
        raise UsageBehind(
            f"meter {period.price.meter}: less is counted than was billed already, as after a restore of the usage "
            "store from a backup; the next run asks again"
        )
