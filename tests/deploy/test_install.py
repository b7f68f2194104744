"""How `make install` installs the program into its environment."""

from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_an_editable_install_is_one_path_without_an_import_hook() -> None:
    """Setuptools prints a loud warning about its import hooks: the layout must not need one."""
    installed = [Path(str(file.locate())) for file in distribution("tallyhouse").files or ()]
    editable = [file for file in installed if file.name.startswith("__editable__")]
    assert [file.suffix for file in editable] == [".pth"]
    assert Path(editable[0].read_text().strip()) == ROOT
