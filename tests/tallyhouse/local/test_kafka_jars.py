"""The broker's jars are fetched once, completely or not at all; missing tools are named with the way to get them."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tallyhouse.local.background_program import ToolMissing
from tallyhouse.local.kafka_jars import find_kafka

JAVA = """echo 'openjdk version "{version}.0.1"' >&2"""
MAVEN = """
for word in "$@"; do case $word in -DoutputDirectory=*) jars=${word#*=} ;; esac; done
echo run >> "$MAVEN_RUNS"
sleep 0.2
mkdir "$jars" && echo jar > "$jars/kafka.jar"
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty cache, and with the test's programs first on the PATH."""
    return {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "MAVEN_RUNS": str(tmp_path / "runs"),
    }


def install(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def runs(environ: Mapping[str, str]) -> int:
    return len(Path(environ["MAVEN_RUNS"]).read_text().splitlines())


def test_the_jars_are_fetched_once(tmp_path: Path, environ: dict[str, str]) -> None:
    """Of several concurrent calls one fetches the jars and prints a notice; later calls find them."""
    install(tmp_path, "java", JAVA.format(version=21))
    install(tmp_path, "mvn", MAVEN)
    printed: list[str] = []
    with ThreadPoolExecutor(4) as at_once:
        found = set(at_once.map(lambda _: find_kafka(environ, printed.append), range(4)))
    [runtime] = found
    assert [jar.name for jar in runtime.jars.iterdir()] == ["kafka.jar"]
    assert find_kafka(environ, printed.append) == runtime
    assert runs(environ) == 1
    assert len(printed) == 1


def test_an_incomplete_download_is_discarded(tmp_path: Path, environ: dict[str, str]) -> None:
    """The error includes Maven's output, and the next call fetches everything again."""
    install(tmp_path, "java", JAVA.format(version=17))
    install(tmp_path, "mvn", MAVEN + "exit 1")
    with pytest.raises(ToolMissing, match="Maven Central"):
        find_kafka(environ, lambda _line: None)
    install(tmp_path, "mvn", "echo 'Could not transfer artifact'; exit 1")
    with pytest.raises(ToolMissing, match="Could not transfer artifact"):
        find_kafka(environ, lambda _line: None)
    install(tmp_path, "mvn", MAVEN)
    assert find_kafka(environ, lambda _line: None).jars.is_dir()


@pytest.mark.parametrize("version", ["1.8", "11"])
def test_an_old_java_is_refused(tmp_path: Path, environ: dict[str, str], version: str) -> None:
    """The error names its version and the way to get a newer one."""
    install(tmp_path, "java", JAVA.format(version=version))
    with pytest.raises(ToolMissing, match=rf"Java 17 or newer .*{version}.*default-jre"):
        find_kafka(environ, lambda _line: None)


def test_missing_tools_are_named(tmp_path: Path, environ: dict[str, str]) -> None:
    """Java or Maven, with the command that installs it."""
    environ["PATH"] = str(tmp_path)
    with pytest.raises(ToolMissing, match=r"Java is missing; .*apt-get install default-jre"):
        find_kafka(environ, lambda _line: None)
    install(tmp_path, "java", JAVA.format(version=17))
    with pytest.raises(ToolMissing, match=r"Maven is missing; .*apt-get install maven"):
        find_kafka(environ, lambda _line: None)


def test_java_home_comes_first(tmp_path: Path, environ: dict[str, str]) -> None:
    """`JAVA_HOME` takes precedence over the PATH."""
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    install(home / "bin", "java", JAVA.format(version=25))
    install(tmp_path, "mvn", MAVEN)
    assert find_kafka(environ | {"JAVA_HOME": str(home)}, lambda _line: None).java == str(home / "bin/java")
