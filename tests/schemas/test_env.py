"""Settings are read once, typed, and all errors are reported together."""

from typing import Annotated

import msgspec
import pytest

from schemas.env import HIDDEN, REQUIRED, UNSET, Setting, catalogue, read, text, variables, whole_number
from schemas.errors import Misconfigured


class Kitchen(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that all have a default."""

    ovens: Annotated[int, Setting(whole_number(1, 4), "How many ovens.")] = 2
    recipe: Annotated[str | None, Setting(text("a recipe"), "The secret recipe.", secret=True)] = None


class Bakery(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of which some have no default."""

    street: Annotated[str, Setting(text("a street"), "Where it is.")]
    recipe: Annotated[str | None, Setting(text("a recipe"), "The secret recipe.", secret=True)] = None


def no_file(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def kitchen(environ: dict[str, str]) -> Kitchen:
    return read(Kitchen, "KITCHEN_", environ, read_file=no_file, other_variables=frozenset({"KITCHEN_URL"}))


def bakery(files: dict[str, str] | None = None, **environ: str) -> Bakery:
    def read_file(path: str) -> str:
        return files[path] if files and path in files else no_file(path)

    return read(Bakery, "BAKERY_", environ, read_file=read_file)


def errors(**environ: str) -> tuple[str, ...]:
    with pytest.raises(Misconfigured) as caught:
        kitchen(environ)
    return caught.value.errors


def test_absent_and_empty_variables_give_the_default() -> None:
    """An empty variable means "not set" in a container file."""
    assert kitchen({"KITCHEN_OVENS": " ", "OTHER": "x"}) == Kitchen(ovens=2, recipe=None)


def test_values_are_typed() -> None:
    """No caller parses strings."""
    assert read(
        Kitchen, "KITCHEN_", read_file=no_file, environ={"KITCHEN_OVENS": "3", "KITCHEN_RECIPE": "salt"}
    ) == Kitchen(ovens=3, recipe="salt")


def test_all_errors_are_reported_together() -> None:
    """One failed start lists every error."""
    assert errors(KITCHEN_OVENS="nine", KITCHEN_OVEN="2", KITCHEN_URL="elsewhere", KITCHEN_ZZZZZZ="1") == (
        "KITCHEN_OVEN: no such setting; did you mean KITCHEN_OVENS?",
        "KITCHEN_ZZZZZZ: no such setting; `tallyhouse settings` lists those there are",
        "KITCHEN_OVENS: expected a whole number from 1 to 4, got 'nine'",
    )


def test_bounds_are_kept() -> None:
    """A number out of range is an error, like a value that is no number."""
    assert errors(KITCHEN_OVENS="5") == ("KITCHEN_OVENS: expected a whole number from 1 to 4, got '5'",)


def test_a_wrong_secret_is_not_repeated() -> None:
    """Error messages end up in logs."""

    class Safe(msgspec.Struct, frozen=True, kw_only=True):
        code: Annotated[int, Setting(whole_number(0, 9), "Opens it.", secret=True)] = 0

    with pytest.raises(Misconfigured) as caught:
        read(Safe, "SAFE_", {"SAFE_CODE": "hunter2"}, read_file=no_file)
    assert "hunter2" not in str(caught.value)


def test_the_catalogue_shows_values_but_no_secrets() -> None:
    """The printed settings can be pasted into a ticket."""
    ovens, recipe = catalogue(Kitchen, "KITCHEN_")
    assert (ovens.variable, ovens.default, ovens.show(3)) == ("KITCHEN_OVENS", 2, "3")
    assert (recipe.show("salt"), recipe.show(None)) == (HIDDEN, UNSET)


def test_a_setting_without_a_default_must_be_set() -> None:
    """Its absence is reported with the other errors, and the catalogue shows that it is required."""
    with pytest.raises(Misconfigured) as caught:
        bakery(BAKERY_STREAT="Main")
    assert caught.value.errors == (
        "BAKERY_STREAT: no such setting; did you mean BAKERY_STREET?",
        "BAKERY_STREET: must be set to a street",
    )
    street, _ = catalogue(Bakery, "BAKERY_")
    assert street.show(street.default) == REQUIRED


@pytest.mark.parametrize("text", ["salt", "salt\n", "salt\r\n"])
def test_a_secret_may_be_in_a_file(text: str) -> None:
    """Written by `echo`, an editor, or a secret store: the line break at the end is not part of the secret."""
    assert bakery({"/s": text}, BAKERY_STREET="Main", BAKERY_RECIPE_FILE="/s").recipe == "salt"


def test_only_a_secret_may_be_in_a_file() -> None:
    """Other settings stay visible in the environment."""
    assert variables(Bakery, "BAKERY_") == {"BAKERY_STREET", "BAKERY_RECIPE", "BAKERY_RECIPE_FILE"}


@pytest.mark.parametrize(
    ("environ", "mistake"),
    [
        (
            {"BAKERY_RECIPE": "salt", "BAKERY_RECIPE_FILE": "/s"},
            "BAKERY_RECIPE and BAKERY_RECIPE_FILE are both set: keep one of them",
        ),
        ({"BAKERY_RECIPE_FILE": "/t"}, "BAKERY_RECIPE_FILE: /t cannot be read: No such file or directory"),
        ({"BAKERY_RECIPE_FILE": "/empty"}, "BAKERY_RECIPE_FILE: /empty is empty"),
    ],
)
def test_an_unusable_secret_file_is_an_error(environ: dict[str, str], mistake: str) -> None:
    """The service must not start without its password."""
    with pytest.raises(Misconfigured) as caught:
        bakery({"/s": "salt", "/empty": "\n"}, BAKERY_STREET="Main", **environ)
    assert caught.value.errors == (mistake,)


def test_a_password_inside_an_address_is_not_repeated() -> None:
    """Also in a setting that is not a secret."""
    assert errors(KITCHEN_OVENS="http://me:hunter2@oven") == (
        "KITCHEN_OVENS: expected a whole number from 1 to 4, got 'http://(hidden)@oven'",
    )
