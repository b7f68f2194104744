"""The check of a time zone's name, with one message for every place that takes a name."""

from zoneinfo import ZoneInfo

from schemas.errors import Invalid

_LONGEST_SHOWN = 60


def check_time_zone(name: str, field: str) -> ZoneInfo:
    """The zone of this IANA name. Raises Invalid, which names `field`, if the name is unknown."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # an unknown name is a KeyError, the name of a folder an OSError
        raise Invalid(
            f"{field}: {name[:_LONGEST_SHOWN]!r} is not a known time zone; use an IANA name such as Europe/Berlin "
            "or UTC",
            field=field,
        ) from error
