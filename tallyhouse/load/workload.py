"""Seeded events, rendered by the thousand into one byte matrix, with their values as columns.

All events have the same length: a template with fixed-width placeholders, filled column by column. So the generator
costs a fraction of a microsecond per event and leaves the machine to the process under load.
"""

import secrets
from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.ids import base36
from schemas.timestamps import to_iso

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

EVENT_NAME = "load.request"
MODELS = ("alpha", "bravo", "delta", "gamma", "omega")
USERS = 64
"""Distinct users of one customer: one bit each in a 64-bit word."""

_RUN = "rrrrrrrr"
_TEMPLATE = (
    '{"event_name":"load.request","idempotency_key":"RUN-KKKKKKKK","customer_id":"RUN_CCCC",'
    '"timestamp":"TTTTTTTTTTTTTTTTTTTTTTTTTTT","properties":'
    '{"model":"MMMMM","tokens":NNNN,"cost":0.PPPP,"ms":LLLL,"user":"UUUU"}},'
).replace("RUN", _RUN)

_LARGEST_CUSTOMERS = 10_000
_LARGEST_KEYS = 10**8
_DIGITS = np.array([list(f"{number:04}".encode()) for number in range(10_000)], dtype=np.uint8)
"""The numbers to 9999 as digits: a division per digit would be most of the cost."""


def new_run() -> str:
    """A random name: the keys of two runs must differ, even if they start at the same moment."""
    return base36(secrets.randbelow(36 ** len(_RUN)), len(_RUN))


def _placeholder(mark: str) -> slice:
    """The longest run of `mark` in the template."""
    width = max(length for length in range(1, 30) if mark * length in _TEMPLATE)
    start = _TEMPLATE.index(mark * width)
    return slice(start, start + width)


_TIME, _MODEL = _placeholder("T"), _placeholder("M")
_KEY, _CUSTOMER, _TOKENS, _COST, _LATENCY, _USER = map(_placeholder, "KCNPLU")
_KEY_HIGH, _KEY_LOW = slice(_KEY.start, _KEY.start + 4), slice(_KEY.start + 4, _KEY.stop)
_MODEL_TEXTS = np.array([list(model.encode()) for model in MODELS], dtype=np.uint8)


class WorkloadShape(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of the events."""

    seed: int = 1
    customers: int = 10_000
    top_share: float = 0.35
    """The largest customer's share of all events; the others follow a power law."""
    duplicates: float = 0.01
    """The share of events that repeat an earlier one, byte for byte."""


class EventColumns(msgspec.Struct, frozen=True):
    """The values of new events, as parallel arrays."""

    customers: Ints
    models: Ints
    tokens: Ints
    costs: Ints
    """In ten-thousandths."""
    latencies: Ints
    users: Ints


class RenderedBatch(msgspec.Struct, frozen=True):
    """Rendered events, each followed by a comma, and the values of the new ones among them."""

    rows: Bytes
    fresh: EventColumns

    def __len__(self) -> int:
        return len(self.rows)

    def body(self) -> bytes:
        """One post with all events."""
        return b'{"events":[' + self.rows.tobytes()[:-1] + b"]}"

    def single_events(self) -> Iterator[bytes]:
        """A post for each event."""
        for row in self.rows:
            yield row[:-1].tobytes()


class Workload:
    """The events of one run. Deterministic: the same seed, run and times give the same bytes."""

    def __init__(self, shape: WorkloadShape, run: str) -> None:
        if len(run) != len(_RUN):
            raise ValueError(f"a run's name has {len(_RUN)} characters, got {run!r}")
        if not 1 <= shape.customers <= _LARGEST_CUSTOMERS:
            raise ValueError(f"a run has 1 to {_LARGEST_CUSTOMERS} customers, got {shape.customers}")
        self._shape = shape
        self._random = np.random.default_rng(shape.seed)
        self._template = np.frombuffer(_TEMPLATE.replace(_RUN, run).encode(), dtype=np.uint8)
        self._cumulative_shares = cumulative_shares(shape)
        self._next = 0
        self._earlier: Bytes = np.empty((0, len(self._template)), dtype=np.uint8)

    def batch(self, size: int, now: int) -> RenderedBatch:
        """The next `size` events; new ones have the timestamp `now`, the others repeat events of the last batch."""
        repeats = int(self._random.binomial(size, self._shape.duplicates)) if len(self._earlier) else 0
        fresh = self._draw(size - repeats)
        rows = np.concatenate([self._render(fresh, now), self._repeat(repeats)])
        self._earlier = rows
        return RenderedBatch(rows, fresh)

    def _draw(self, size: int) -> EventColumns:
        draw = self._random.integers
        return EventColumns(
            customers=np.searchsorted(self._cumulative_shares, self._random.random(size), side="right"),
            models=draw(len(MODELS), size=size),
            tokens=draw(1000, 10_000, size=size),
            costs=draw(10_000, size=size),
            latencies=draw(1000, 10_000, size=size),
            users=draw(USERS, size=size),
        )

    def _render(self, columns: EventColumns, now: int) -> Bytes:
        rows = np.tile(self._template, (len(columns.customers), 1))
        keys = np.arange(self._next, self._next + len(rows))
        self._next += len(rows)
        if self._next > _LARGEST_KEYS:
            raise ValueError(f"a run has at most {_LARGEST_KEYS} different events: start another one")
        rows[:, _TIME] = np.frombuffer(iso_microseconds(now).encode(), dtype=np.uint8)
        rows[:, _MODEL] = _MODEL_TEXTS[columns.models]
        _fill(rows, _KEY_HIGH, keys // 10_000)
        _fill(rows, _KEY_LOW, keys % 10_000)
        _fill(rows, _CUSTOMER, columns.customers)
        _fill(rows, _TOKENS, columns.tokens)
        _fill(rows, _COST, columns.costs)
        _fill(rows, _LATENCY, columns.latencies)
        _fill(rows, _USER, columns.users)
        return rows

    def _repeat(self, size: int) -> Bytes:
        return self._earlier[self._random.integers(len(self._earlier), size=size)] if size else self._earlier[:0]


def cumulative_shares(shape: WorkloadShape) -> npt.NDArray[np.float64]:
    """The upper end of each customer's part of [0, 1): `top_share` for the first, proportional to 1/rank after it."""
    ranks = 1 / np.arange(2, shape.customers + 1, dtype=np.float64)
    tail = ranks / ranks.sum() * (1 - shape.top_share) if len(ranks) else ranks
    reach = np.cumsum(np.concatenate([[shape.top_share], tail]))
    reach[-1] = 1.0
    return reach


def customer_id(run: str, customer: int) -> str:
    return f"{run}_{customer:04}"


def iso_microseconds(micros: int) -> str:
    """ISO 8601 in UTC, always with six decimals."""
    text = to_iso(micros)
    return text if "." in text else text.replace("Z", ".000000Z")


def _fill(rows: Bytes, placeholder: slice, numbers: Ints) -> None:
    """Writes four-digit numbers into a four-digit placeholder."""
    rows[:, placeholder] = _DIGITS[numbers]
