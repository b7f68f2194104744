"""The prose of code and documents: words that read like a translation are refused."""

import re
from pathlib import Path

from tests.source_tree import ROOT, documents, everything

REFUSED = {
    r"reckon\w*": "calculate",
    r"anew": "again",
    r"whoever": "the caller, the reader, a process",
    r"told": "reported, stated, logged",
    r"in vain": "without success",
    r"for ever": "forever, never expires",
    r"st(?:and|ands|anding|ood) back": "lower priority",
    r"lets? out": "omits",
    r"(?:of|for) want of|want of": "lack of",
    r"noes": "false negatives",
    r"ayes": "false positives",
}
"""What is refused → what the field says instead."""

_PATTERN = re.compile(r"\b(?:" + "|".join(REFUSED) + r")\b", re.IGNORECASE)


def refused_in(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    place = path.relative_to(ROOT)
    return [
        f"{place}:{number}: {found[0]}" for number, line in enumerate(lines, 1) for found in _PATTERN.finditer(line)
    ]


def test_no_word_of_a_translation() -> None:
    """Docstrings, comments, messages, names and documents use the field's words."""
    this = Path(__file__).resolve()
    files = [path for path in (*everything(), *documents()) if path != this]
    assert [place for path in files for place in refused_in(path)] == []


def test_the_pattern_finds_what_it_is_for() -> None:
    """Whole words in any case, and no part of another word."""
    found = [
        match[0] for match in _PATTERN.finditer("Whoever is told must reckon anew; it stands back. Untold, renew.")
    ]
    assert found == ["Whoever", "told", "reckon", "anew", "stands back"]
