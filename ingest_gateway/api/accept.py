"""Which of the media types on offer a caller likes best."""

from collections.abc import Sequence

from ingest_gateway.http.errors import NotAcceptable


def best_of(accept: bytes | None, offered: Sequence[bytes]) -> bytes:
    """The offer with the highest quality; the earlier one where two are liked alike."""
    wishes = _wishes(accept or b"*/*")
    liked = max(offered, key=lambda offer: _quality(wishes, offer))
    if _quality(wishes, liked) <= 0:
        known = b", ".join(offered).decode()
        raise NotAcceptable(f"Accept: none of these can be made; known are {known}", details={"offered": known})
    return liked


def _wishes(accept: bytes) -> dict[bytes, float]:
    """Media range → quality."""
    wishes: dict[bytes, float] = {}
    for wish in accept.lower().split(b","):
        media_range, *parameters = (part.strip() for part in wish.split(b";"))
        quality = next((part[2:] for part in parameters if part.startswith(b"q=")), b"1")
        try:
            wishes[media_range] = float(quality)
        except ValueError:
            wishes[media_range] = 0.0
    return wishes


def _quality(wishes: dict[bytes, float], offer: bytes) -> float:
    """What is said of the type itself counts before what is said of its kind, and that before `*/*`."""
    for media_range in (offer, offer.split(b"/")[0] + b"/*", b"*/*"):
        if media_range in wishes:
            return wishes[media_range]
    return 0.0
