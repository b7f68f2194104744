"""Tables on a narrow screen: what names a row is never cut, for it is what other commands are given."""

import pytest

from tallyhouse.cli.printing import cell, print_rows

ID = "cm5x9z8nv0000h85r7l9p2k1m"
ROW = {"id": ID, "name": "Acme Corporation", "email": "billing@acme.example", "created_at": "2026-11-26T11:31:00Z"}


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_the_name_of_a_row_stays_whole(
    width: str, rows: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many columns stand beside it; nothing of the others is left out either."""
    monkeypatch.setenv("COLUMNS", width)
    print_rows([ROW] * rows, list(ROW), as_json=False)
    printed = capsys.readouterr().out
    assert printed.count(ID) == rows
    assert "…" not in printed


@pytest.mark.parametrize(("width", "lines"), [("80", 4), ("200", 2)])
def test_one_row_that_is_too_wide_stands_upright(
    width: str, lines: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field a line, whole, where its columns would be folded in the middle of words."""
    monkeypatch.setenv("COLUMNS", width)
    print_rows([ROW], list(ROW), as_json=False)
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == lines
    assert all(value in printed for value in ROW.values())


def test_what_is_in_a_cell_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets are text and no markup; what is nested is told without a programmer's quotes."""
    print_rows([{"id": "[red]a[/red]"}], ["id"], as_json=False)
    assert "[red]a[/red]" in capsys.readouterr().out
    fees = [{"code": "base", "keys": []}, {"code": "more", "keys": ["eu", None]}]
    assert cell({"fees": fees, "on": True}) == "fees=[(code=base, keys=-), (code=more, keys=[eu, -])], on=yes"
