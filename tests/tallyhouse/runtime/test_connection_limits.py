"""Which connection gives way to which, and when one ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyhouse.runtime.connection_limits import ConnectionTable, HttpLimits, network_of

pytestmark = pytest.mark.anyio


class FakeConnection:
    def __init__(self, deadline: float = 0.0, *, is_waiting: bool = True) -> None:
        self.deadline = deadline
        self.is_waiting = is_waiting
        self.is_aborted = False
        self.expired_at: list[float] = []

    def expire(self, now: float) -> None:
        self.expired_at.append(now)

    def abort(self) -> None:
        self.is_aborted = True


def table(connections: int = 4, per_address: int = 3) -> ConnectionTable:
    return ConnectionTable(HttpLimits(connections=connections, connections_per_address=per_address))


async def test_the_oldest_waiting_connection_of_the_address_gives_way() -> None:
    """Not one whose request is being answered, and not one of another address."""
    connections = table()
    other, busy = FakeConnection(0), FakeConnection(1, is_waiting=False)
    late, early, new = FakeConnection(9), FakeConnection(5), FakeConnection(20)
    assert connections.admit(other, "10.0.0.2") is None
    for connection in (busy, late, early, new):
        assert connections.admit(connection, "10.0.0.1") is None
    assert [one.is_aborted for one in (other, busy, late, early, new)] == [False, False, False, True, False]
    assert len(connections) == 4


async def test_the_address_with_the_most_connections_gives_way_first() -> None:
    """Then any other that has a connection that waits."""
    connections = table(connections=3)
    many = [FakeConnection(7), FakeConnection(8)]
    single = FakeConnection(1)
    for connection, host in zip([*many, single], ["10.0.0.1", "10.0.0.1", "10.0.0.2"], strict=True):
        connections.admit(connection, host)
    assert connections.admit(FakeConnection(9), "10.0.0.3") is None
    assert [one.is_aborted for one in (*many, single)] == [True, False, False]
    many[1].is_waiting = False
    assert connections.admit(FakeConnection(9), "10.0.0.4") is None
    assert single.is_aborted


async def test_a_connection_is_refused_when_all_are_busy() -> None:
    """The answer names the limit. A removed connection makes room."""
    connections = table(connections=2, per_address=2)
    busy = [FakeConnection(is_waiting=False) for _ in range(2)]
    for connection in busy:
        assert connections.admit(connection, "10.0.0.1") is None
    for host, reason in (("10.0.0.1", "your address has 2"), ("10.0.0.2", "this process has 2")):
        refused = connections.admit(FakeConnection(), host)
        assert refused is not None
        assert reason in refused.message
    connections.remove(busy[0])
    connections.remove(busy[0])
    assert connections.admit(FakeConnection(), "10.0.0.1") is None


async def test_few_refused_connections_wait_for_their_answer() -> None:
    """The oldest of them is closed without one."""
    connections = table(connections=1)
    connections.admit(FakeConnection(is_waiting=False), "10.0.0.1")
    refused = [FakeConnection() for _ in range(40)]
    for connection in refused:
        assert connections.admit(connection, "10.0.0.2") is not None
    assert [connection.is_aborted for connection in refused] == [True] * 8 + [False] * 32


async def test_the_sweep_expires_what_is_due() -> None:
    """Refused connections too; removed ones no more."""
    connections = table(connections=2)
    due, early, gone = (FakeConnection(deadline, is_waiting=False) for deadline in (1.0, 3.0, 1.0))
    refused = FakeConnection(1.0)
    connections.admit(due, "a")
    connections.admit(gone, "b")
    connections.admit(refused, "c")
    connections.remove(gone)
    connections.admit(early, "b")
    connections.sweep(2.0)
    assert [one.expired_at for one in (due, early, gone, refused)] == [[2.0], [], [], [2.0]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=60))
async def test_no_limit_is_ever_exceeded(steps: list[tuple[str, bool, bool]]) -> None:
    """Whatever comes and goes."""
    connections = table()
    admitted: dict[FakeConnection, str] = {}
    for host, is_waiting, leaves in steps:
        connection = FakeConnection(is_waiting=is_waiting)
        if connections.admit(connection, host) is None:
            admitted[connection] = host
        if leaves and admitted:
            connections.remove(leaving := next(iter(admitted)))
            del admitted[leaving]
        admitted = {one: host for one, host in admitted.items() if not one.is_aborted}
        assert len(connections) == len(admitted) <= 4
        assert all(list(admitted.values()).count(host) <= 3 for host in "abc")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_whose_address_it_is(one: str, other: str, same: bool) -> None:
    """A customer of an IPv6 provider cannot be many."""
    assert (network_of(one) == network_of(other)) is same
