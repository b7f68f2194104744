"""Which months of seen keys nobody can ask about any more.

Judged by the arrival of frames alone, never by a wall clock: a worker that lags far behind still needs the keys that
were young when its frames arrived.
"""

from collections.abc import Iterable

from schemas.timestamps import DAY, month_of

MARGIN = DAY


def expired_months(months: Iterable[int], oldest_uncounted_arrival: int, window: int) -> list[int]:
    """The months (such as 202611) that end before anything a frame not yet counted could be compared with.

    `oldest_uncounted_arrival` is taken over all partitions; where a partition has nothing waiting, what it counted
    last stands for it. A flush takes frames of one arrival month only, so a month holds no arrival later than itself.
    """
    kept_from = month_of(oldest_uncounted_arrival - window - MARGIN)
    return sorted(month for month in set(months) if month < kept_from)
