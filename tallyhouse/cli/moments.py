"""The moments that options of commands hold, checked before anything is sent."""

from schemas.errors import Invalid
from schemas.moments import Moment, parse_moment


def checked_moment(option: str, text: str, kind: type[Moment] = Moment) -> str:
    """`text` as given. Raises Invalid, which names the option, if it is no moment of the type."""
    try:
        parse_moment(text, kind)
    except ValueError as error:
        raise Invalid(f"{option}: {error}") from None
    return text
