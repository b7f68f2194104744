"""Types of request fields with their limits, which are validated and appear in the API description."""

from typing import Annotated

from msgspec import Meta

END = r"$(?!\n)"
"""A bare `$` would accept a line break at the end, which the validators of other languages refuse."""
PRINTABLE = r"^[^\x00-\x1f\x7f]*" + END
"""No control characters."""
_LINES = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
_WORD = r"[^@\x00-\x20\x7f-\xa0\u2000-\u200b\u2028-\u202f\u205f\u3000\ufeff]+"

Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=PRINTABLE)]
ShortText = Annotated[str, Meta(min_length=1, max_length=50, pattern=PRINTABLE)]
LongText = Annotated[str, Meta(max_length=2000, pattern=_LINES)]
"""Text of several lines."""
Url = Annotated[str, Meta(max_length=2048, pattern=r"^https?://[^\x00-\x20\x7f]+" + END)]
Email = Annotated[str, Meta(max_length=255, pattern=f"^{_WORD}@{_WORD}{END}")]
Code = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z0-9]+(?:_[a-z0-9]+)*" + END)]
"""Lower-case words joined by underscores."""
Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=PRINTABLE)]
TimestampText = Annotated[
    str,
    Meta(
        max_length=64,
        description="ISO 8601 with an offset, such as 2026-11-21T10:30:00Z.",
        examples=["2026-11-21T10:30:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
"""An event's timestamp as text, which the intake parses."""
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}" + END)]
"""ISO 4217."""
Country = Annotated[str, Meta(pattern="^[A-Z]{2}" + END)]
"""ISO 3166, two letters."""
Locale = Annotated[str, Meta(max_length=35, pattern="^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*" + END)]
ZoneName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+\-/]+" + END)]
"""IANA, such as Europe/Berlin."""
NetTerms = Annotated[int, Meta(ge=0, le=365)]
"""Days."""
Cents = Annotated[int, Meta(ge=-(10**15), le=10**15)]
"""Minor units of a currency."""
PositiveCents = Annotated[int, Meta(ge=1, le=10**15)]
Metadata = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=40, pattern=PRINTABLE)],
        Annotated[str, Meta(max_length=500, pattern=_LINES)],
    ],
    Meta(max_length=50),
]
