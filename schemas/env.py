"""Typed reading of settings from environment variables; all configuration errors are reported together.

A record declares each setting in one place: its field gives name, type and default, an annotation the rest.

    class Settings(msgspec.Struct, frozen=True, kw_only=True):
        port: Annotated[int, Setting(whole(1, 65535), "Port to listen on.")] = 8787

A field without a default must be set. A secret may be given by a file: `PASSWORD_FILE` names it instead of `PASSWORD`.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec

from schemas.errors import Misconfigured
from schemas.units import parse_duration, parse_size, show_duration, show_size

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)
E = TypeVar("E", bound=StrEnum)

HIDDEN = "(hidden)"
REQUIRED = "(must be set)"
UNSET = "(not set)"

FILE = "_FILE"

_USER = re.compile(r"(?<=//)[^/]*(?=@)")
"""The user name and password in a URL."""

ReadFile = Callable[[str], str]
"""The text of the file at a path; raises OSError or UnicodeDecodeError."""


class SettingType(msgspec.Struct, Generic[T], frozen=True):
    """How values of one type are written. `parse` raises ValueError."""

    description: str
    parse: Callable[[str], T]
    show: Callable[[T], str] = str


class Setting(msgspec.Struct, frozen=True):
    """The annotation of a field: how its value is written, and what the setting means."""

    kind: SettingType[Any]
    meaning: str
    secret: bool = False


class SettingEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a catalogue."""

    variable: str
    field: str
    default: Any
    setting: Setting

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it."""
        return (self.variable, self.variable + FILE) if self.setting.secret else (self.variable,)

    def show(self, value: Any) -> str:
        """`value` as it would be written in a variable; of a secret, only whether it is set."""
        if value is None:
            return UNSET
        if value is msgspec.NODEFAULT:
            return REQUIRED
        return HIDDEN if self.setting.secret else self.setting.kind.show(value)


def catalogue(record: type[msgspec.Struct], prefix: str) -> tuple[SettingEntry, ...]:
    """All settings of a record, in the order they are declared."""
    hints = get_type_hints(record, include_extras=True)
    return tuple(
        SettingEntry(
            variable=prefix + field.name.upper(),
            field=field.name,
            default=field.default,
            setting=next(note for note in hints[field.name].__metadata__ if isinstance(note, Setting)),
        )
        for field in msgspec.structs.fields(record)
    )


def variables(record: type[msgspec.Struct], prefix: str) -> frozenset[str]:
    """Every variable that sets a field of the record."""
    return frozenset(variable for entry in catalogue(record, prefix) for variable in entry.variables)


def read(
    record: type[R],
    prefix: str,
    environ: Mapping[str, str],
    *,
    read_file: ReadFile,
    other_variables: frozenset[str] = frozenset(),
) -> R:
    """The settings from `environ`; an empty variable counts as absent.

    A variable that begins with `prefix` and is neither a setting nor one of `other_variables` is an error.
    Raises Misconfigured with all errors.
    """
    errors = list(_unknown(variables(record, prefix) | other_variables, prefix, environ))
    values: dict[str, Any] = {}
    for entry in catalogue(record, prefix):
        try:
            written = _raw_value(entry, environ, read_file)
            if written:
                values[entry.field] = _parsed_value(entry, written)
            elif entry.default is msgspec.NODEFAULT:
                errors.append(f"{entry.variable}: must be set to {entry.setting.kind.description}")
        except Misconfigured as error:
            errors += error.errors
    if errors:
        raise Misconfigured(errors)
    return record(**values)


def _raw_value(entry: SettingEntry, environ: Mapping[str, str], read_file: ReadFile) -> str:
    """The text of the setting, from its variable or from the file it names; empty if neither is set."""
    here, *files = (environ.get(variable, "").strip() for variable in entry.variables)
    if not any(files):
        return here
    variable = entry.variable + FILE
    if here:
        raise Misconfigured([f"{entry.variable} and {variable} are both set: keep one of them"])
    try:
        found = read_file(files[0]).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured([f"{variable}: {files[0]} cannot be read: {getattr(error, 'strerror', error)}"]) from error
    if not found:
        raise Misconfigured([f"{variable}: {files[0]} is empty"])
    return found


def _parsed_value(entry: SettingEntry, written: str) -> Any:
    try:
        return entry.setting.kind.parse(written)
    except ValueError as error:
        found = "something else" if entry.setting.secret else repr(_USER.sub(HIDDEN, written))
        raise Misconfigured([f"{entry.variable}: expected {entry.setting.kind.description}, got {found}"]) from error


def _unknown(known: frozenset[str], prefix: str, environ: Mapping[str, str]) -> Iterator[str]:
    for variable in sorted(environ):
        if variable.startswith(prefix) and variable not in known:
            nearest = difflib.get_close_matches(variable, sorted(known), n=1, cutoff=0.8)
            hint = f"did you mean {nearest[0]}?" if nearest else "`tallyhouse settings` lists those there are"
            yield f"{variable}: no such setting; {hint}"


def text(description: str, accepts: Callable[[str], object] = bool) -> SettingType[str]:
    """Text for which `accepts` is true."""

    def parse(written: str) -> str:
        if not accepts(written):
            raise ValueError(written)
        return written

    return SettingType(description, parse)


def _within(parse: Callable[[str], int], low: int, high: int) -> Callable[[str], int]:
    def bounded(written: str) -> int:
        number = parse(written)
        if not low <= number <= high:
            raise ValueError(written)
        return number

    return bounded


def whole_number(low: int, high: int) -> SettingType[int]:
    return SettingType(f"a whole number from {low} to {high}", _within(int, low, high))


def duration(low: int, high: int) -> SettingType[int]:
    """Microseconds, written with a unit, such as `10s`."""
    description = f"a duration from {show_duration(low)} to {show_duration(high)}, such as 300ms, 10s, 5m, 1h or 35d"
    return SettingType(description, _within(parse_duration, low, high), show_duration)


def size(low: int, high: int) -> SettingType[int]:
    """Bytes, written with a unit, such as `64MB`."""
    description = f"a size from {show_size(low)} to {show_size(high)}, such as 64KB, 10MB or 4GB"
    return SettingType(description, _within(parse_size, low, high), show_size)


def one_of(choices: type[E]) -> SettingType[E]:
    return SettingType("one of " + ", ".join(choices), choices)


def boolean() -> SettingType[bool]:
    # Words only: which of `0`, `false` and `off` count as false differs between programs.
    words = {"yes": True, "no": False}

    def parse(written: str) -> bool:
        if written not in words:
            raise ValueError(written)
        return words[written]

    return SettingType("yes or no", parse, lambda value: "yes" if value else "no")
