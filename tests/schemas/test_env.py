"""Settings are read once, typed, and every mistake is told at once."""

from typing import Annotated

import msgspec
import pytest

from schemas.env import HIDDEN, UNSET, Setting, catalogue, read, text, whole
from schemas.errors import Misconfigured


class Kitchen(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of something small."""

    ovens: Annotated[int, Setting(whole(1, 4), "How many ovens.")] = 2
    recipe: Annotated[str | None, Setting(text("a recipe"), "The secret recipe.", secret=True)] = None


def mistakes(**environ: str) -> tuple[str, ...]:
    with pytest.raises(Misconfigured) as caught:
        read(Kitchen, "KITCHEN_", environ, elsewhere=frozenset({"KITCHEN_URL"}))
    return caught.value.mistakes


def test_absent_and_empty_variables_give_the_default() -> None:
    """An empty variable is how a container file says "not set"."""
    assert read(Kitchen, "KITCHEN_", {"KITCHEN_OVENS": " ", "OTHER": "x"}) == Kitchen(ovens=2, recipe=None)


def test_values_are_typed() -> None:
    """Nobody parses strings later."""
    assert read(Kitchen, "KITCHEN_", {"KITCHEN_OVENS": "3", "KITCHEN_RECIPE": "salt"}) == Kitchen(
        ovens=3, recipe="salt"
    )


def test_every_mistake_is_told_at_once() -> None:
    """One start, one list: not one mistake per start."""
    assert mistakes(KITCHEN_OVENS="nine", KITCHEN_OVEN="2", KITCHEN_URL="elsewhere", KITCHEN_ZZZZZZ="1") == (
        "KITCHEN_OVEN: no such setting; did you mean KITCHEN_OVENS?",
        "KITCHEN_ZZZZZZ: no such setting; `tallyhouse settings` lists those there are",
        "KITCHEN_OVENS: expected a whole number from 1 to 4, got 'nine'",
    )


def test_bounds_are_kept() -> None:
    """A number out of range is as wrong as a word."""
    assert mistakes(KITCHEN_OVENS="5") == ("KITCHEN_OVENS: expected a whole number from 1 to 4, got '5'",)


def test_a_wrong_secret_is_not_repeated() -> None:
    """Mistakes go to logs."""

    class Safe(msgspec.Struct, frozen=True, kw_only=True):
        code: Annotated[int, Setting(whole(0, 9), "Opens it.", secret=True)] = 0

    with pytest.raises(Misconfigured) as caught:
        read(Safe, "SAFE_", {"SAFE_CODE": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_the_catalogue_shows_values_but_no_secrets() -> None:
    """What is printed can be pasted into a ticket."""
    ovens, recipe = catalogue(Kitchen, "KITCHEN_")
    assert (ovens.variable, ovens.default, ovens.show(3)) == ("KITCHEN_OVENS", 2, "3")
    assert (recipe.show("salt"), recipe.show(None)) == (HIDDEN, UNSET)
