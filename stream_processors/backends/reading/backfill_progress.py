"""How far the backfill of a new meter has come."""

from collections.abc import Mapping

from schemas.meter import Meter
from schemas.tables import backfill_chunks, backfill_receipt
from schemas.usage import BackfillStatus


def receipts_prefix(meter: Meter) -> str:
    """The prefix of all receipts of the meter's backfill, and of no others."""
    return backfill_receipt(meter.account, meter.code, 0, 0).removesuffix("0/0")


def backfill_progress(first: Mapping[int, int], partitions: int, chunks_done: int) -> BackfillStatus:
    """`first` is each partition's first flush counted with the meter; the backfill covers the flushes before it."""
    if any(partition not in first for partition in range(partitions)):
        return BackfillStatus(done=False, chunks_done=chunks_done, chunks_total=None)
    total = sum(backfill_chunks(first[partition]) for partition in range(partitions))
    return BackfillStatus(done=chunks_done >= total, chunks_done=chunks_done, chunks_total=total)
