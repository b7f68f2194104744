"""How `make install` puts the program into its environment."""

from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_an_editable_install_is_one_path_and_nothing_that_steps_into_imports() -> None:
    """Setuptools warns of its import finders with a block of exclamation marks: the layout must not need one."""
    installed = [Path(str(file.locate())) for file in distribution("tallyhouse").files or ()]
    editable = [file for file in installed if file.name.startswith("__editable__")]
    assert [file.suffix for file in editable] == [".pth"]
    assert Path(editable[0].read_text().strip()) == ROOT
