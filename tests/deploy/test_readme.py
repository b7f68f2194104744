"""The README's commands work as they are printed, and print what the README shows."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.serve_terminal import ServeTerminal, pasted, serve_terminal
from tests.server_process import ROOT, GatewayClient, wait_until
from tests.skips import skip_without

README = (ROOT / "README.md").read_text()
PUBLISHED_URL = "http://localhost:8787"
"""In commands."""
SHOWN_URL = "http://127.0.0.1:8787"
"""In output."""
_END = "the block has ended"


def blocks(heading: str, language: str) -> list[str]:
    """Returns the fenced blocks of a section that are marked with the language."""
    sections = re.split(r"^## ", README, flags=re.MULTILINE)
    (text,) = [section for section in sections if section.startswith(f"{heading}\n")]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def assert_shows(sample: str, printed: str) -> None:
    """Every line of the sample is in the printed text, in order; `…` stands for any text."""
    pattern = ".*?".join(re.escape(part) for part in sample.strip().split("…"))
    stripped = "\n".join(line.rstrip() for line in printed.splitlines())
    assert re.search(pattern, stripped, re.DOTALL), f"the README shows\n{sample}\nand the commands print\n{stripped}"


class InteractiveShell:
    """A shell in the folder of the repository, as the README's reader has it; variables last from block to block."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def paste(self, block: str) -> str:
        """Returns what the commands print. Fails the test when one of them fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{block}\necho '{_END}'\n")
        self._process.stdin.flush()
        printed = ""
        for line in self._process.stdout:
            if line.endswith(f"{_END}\n"):
                return printed + line.removesuffix(f"{_END}\n")
            printed += line
        raise AssertionError(f"a command failed: {printed}")


@contextmanager
def shell(folder: Path, terminal: ServeTerminal) -> Iterator[InteractiveShell]:
    """`set -e` ends the shell at the first command that fails."""
    environment = {"PATH": "/usr/bin:/bin", "TALLYHOUSE_URL": terminal.url}
    with subprocess.Popen(
        ["sh", "-e"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield InteractiveShell(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with a virtual environment, as `make up` leaves it."""
    if shutil.which("curl") is None:
        skip_without("curl", "install the package `curl`")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


@pytest.mark.long
def test_the_readme_leads_from_the_first_start_to_an_invoice_with_usage(clone: Path) -> None:
    """The welcome, its three commands, and the walk from usage to a hosted invoice page."""
    welcome, answers = blocks("Sixty seconds", "text")
    usage, invoice = blocks("From usage to an invoice", "sh")
    (invoiced,) = blocks("From usage to an invoice", "text")
    with serve_terminal(clone / "data", clone / "screen") as terminal, shell(clone, terminal) as reader:
        wait_until("the commands to be shown", lambda: len(terminal.commands) == 3)
        assert_shows(welcome.replace(SHOWN_URL, terminal.url), terminal.text)
        assert terminal.first_key is not None
        with GatewayClient(terminal.url, terminal.first_key) as gateway:
            *changes, query = terminal.commands
            printed = [reader.paste(command) for command in changes]
            wait_until("the event to be counted", lambda: bool(pasted(query)["usage"]))
            for answer, shown in zip([*printed, reader.paste(query)], answers.splitlines(), strict=True):
                assert_shows(shown, answer)
            reader.paste(usage.replace(PUBLISHED_URL, terminal.url))
            gateway.wait_until_counted()
            billed = reader.paste(invoice.replace(PUBLISHED_URL, terminal.url))
            assert_shows(invoiced.replace(SHOWN_URL, terminal.url), billed)
            made = json.loads(reader.paste("tallyhouse invoices show $INVOICE --json"))
        assert [(line["description"], line["usage"] is not None) for line in made["line_items"]] == [
            ("Base fee", False),
            ("API calls", True),
        ]
        assert made["public_invoice_url"] in billed
        page = httpx.get(made["public_invoice_url"])
        assert page.status_code == 200
        assert "API calls" in page.text
