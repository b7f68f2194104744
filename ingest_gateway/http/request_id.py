"""Request ids: the caller's own where it is sane, else one of ours; cheap, for every single post gets one."""

import re
from itertools import count

from schemas.ids import Randomness, RequestId, base36

REQUEST_ID_HEADER = b"x-request-id"

_SAFE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_START_DIGITS = 12
_COUNT_DIGITS = 8


class RequestIds:
    """`req_`, twelve random characters of this process, eight that count: unique without a draw for each."""

    def __init__(self, below: Randomness) -> None:
        self._start = "req_" + base36(below(36**_START_DIGITS), _START_DIGITS)
        self._numbers = count()

    def new(self) -> RequestId:
        return RequestId(self._start + format(next(self._numbers), f"0{_COUNT_DIGITS}x"))

    def adopt(self, given: bytes | None) -> RequestId:
        """`given`, where it may stand in a log line and a header as it is."""
        if given is None or _SAFE.fullmatch(given) is None:
            return self.new()
        return RequestId(given.decode())
