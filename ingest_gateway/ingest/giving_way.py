"""Work that holds the event loop for milliseconds lets others by: before each piece, whoever is ready goes first."""

import asyncio

from ingest_gateway.ingest.pieces import Answer, Pieces

_TURNS = 4
"""What came in during the last piece is not a request yet: its bytes are read in one turn and it begins in the next;
what it waits for, such as a commit, wakes it in two. With one turn between the pieces, each of these steps waited for
a piece. Four turns of an idle loop are 50 µs.
"""


async def give_way() -> None:
    """Returns once everyone who was ready has had a few turns."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def giving_way(work: Pieces[Answer]) -> Answer:
    """All pieces; others go before each."""
    while True:
        await give_way()
        try:
            next(work)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
