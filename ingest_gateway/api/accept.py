"""Which of the media types on offer a caller likes best."""

from collections.abc import Sequence

from ingest_gateway.http.errors import NotAcceptable


def negotiate(accept: bytes | None, offered: Sequence[bytes]) -> bytes:
    """The offer with the highest quality; the earlier one where two are liked alike."""
    preferences = _preferences(accept or b"*/*")
    liked = max(offered, key=lambda offer: _quality(preferences, offer))
    if _quality(preferences, liked) <= 0:
        known = b", ".join(offered).decode()
        raise NotAcceptable(f"Accept: none of these can be made; known are {known}", details={"offered": known})
    return liked


def _preferences(accept: bytes) -> dict[bytes, float]:
    """Media range → quality."""
    preferences: dict[bytes, float] = {}
    for wish in accept.lower().split(b","):
        media_range, *parameters = (part.strip() for part in wish.split(b";"))
        quality = next((part[2:] for part in parameters if part.startswith(b"q=")), b"1")
        try:
            preferences[media_range] = float(quality)
        except ValueError:
            preferences[media_range] = 0.0
    return preferences


def _quality(preferences: dict[bytes, float], offer: bytes) -> float:
    """What is said of the type itself counts before what is said of its kind, and that before `*/*`."""
    for media_range in (offer, offer.split(b"/")[0] + b"/*", b"*/*"):
        if media_range in preferences:
            return preferences[media_range]
    return 0.0
