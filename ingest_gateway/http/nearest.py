"""Unknown names: refused with the known one that was probably meant."""

import difflib
from collections.abc import Sequence

from schemas.errors import Invalid


def unknown_name(what: str, name: str, known: Sequence[str]) -> Invalid:
    """`what` is the kind of name, such as "field"."""
    return Invalid(f"{name}: {did_you_mean(what, name, known)}", code="UNKNOWN_FIELD", field=name)


def did_you_mean(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    meant = f"did you mean {near[0]}?" if near else "known are " + ", ".join(known) if known else "none is known here"
    return f"no such {what}; {meant}"
