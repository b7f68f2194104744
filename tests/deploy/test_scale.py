"""Every line of arithmetic in the plan for scale is correct."""

import re
from pathlib import Path

import pytest

PLAN = (Path(__file__).parents[2] / "deploy" / "scale.md").read_text()
NUMBER = r"\d[\d,]*(?:\.\d+)?"
LINE = re.compile(rf"^ +[^|\n]*: (?P<sum>{NUMBER}(?: [×÷] {NUMBER})+) = (?P<result>{NUMBER}) .*$", re.MULTILINE)


def number(text: str) -> float:
    return float(text.replace(",", ""))


def calculated(text: str) -> float:
    """Evaluates from left to right."""
    first, *steps = re.split(r" ([×÷]) ", text)
    value = number(first)
    for sign, operand in zip(steps[::2], steps[1::2], strict=True):
        value = value * number(operand) if sign == "×" else value / number(operand)
    return value


@pytest.mark.parametrize("line", list(LINE.finditer(PLAN)), ids=lambda line: line[0].split(":")[0].strip())
def test_every_line_is_correct(line: re.Match[str]) -> None:
    """To the digits shown."""
    decimals = len(line["result"].partition(".")[2])
    assert calculated(line["sum"]) == pytest.approx(number(line["result"]), rel=0, abs=0.501 / 10**decimals)


def test_no_line_of_arithmetic_is_missed() -> None:
    """Every indented line with a result is arithmetic."""
    assert len(LINE.findall(PLAN)) == len(re.findall(r"^ {4,}.* = ", PLAN, re.MULTILINE)) > 30
