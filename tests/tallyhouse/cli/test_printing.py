"""Tables on a narrow screen: the id of a row is never cut, because other commands need it."""

import pytest

from tallyhouse.cli.printing import cell, print_rows

ID = "cm5x9z8nv0000h85r7l9p2k1m"
ROW = {"id": ID, "name": "Acme Corporation", "email": "billing@acme.example", "created_at": "2026-11-26T11:31:00Z"}


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_the_id_of_a_row_is_never_cut(
    width: str, rows: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other columns are complete too."""
    monkeypatch.setenv("COLUMNS", width)
    print_rows([ROW] * rows, list(ROW), as_json=False)
    printed = capsys.readouterr().out
    assert printed.count(ID) == rows
    assert "…" not in printed


@pytest.mark.parametrize(("width", "lines"), [("80", 4), ("200", 2)])
def test_one_row_that_is_too_wide_is_printed_with_a_field_per_line(
    width: str, lines: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table would fold its columns in the middle of words."""
    monkeypatch.setenv("COLUMNS", width)
    print_rows([ROW], list(ROW), as_json=False)
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == lines
    assert all(value in printed for value in ROW.values())


def test_a_cell_is_printed_literally(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets are no markup; nested values have no quotation marks."""
    print_rows([{"id": "[red]a[/red]"}], ["id"], as_json=False)
    assert "[red]a[/red]" in capsys.readouterr().out
    fees = [{"code": "base", "keys": []}, {"code": "more", "keys": ["eu", None]}]
    assert cell({"fees": fees, "on": True}) == "fees=[(code=base, keys=-), (code=more, keys=[eu, -])], on=yes"
