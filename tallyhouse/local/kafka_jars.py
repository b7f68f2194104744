"""The installation of a Kafka broker: the installed Java, and the jars that Maven fetches once into a cache."""

import fcntl
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tallyhouse.local.background_program import Notify, ToolMissing

VERSION = "4.3.1"
"""The newest complete version: Maven Central lacks a part of 4.4.0 (kafka-tools-api)."""

JAVA_AT_LEAST = 17
JAVA_REMEDY = (
    "install Java 17 or newer (Debian 12 or newer: apt-get install default-jre-headless), or set JAVA_HOME to it"
)
MAVEN_REMEDY = "install Maven (Debian: apt-get install maven)"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tallyhouse</groupId><artifactId>broker</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version>
    </dependency>
  </dependencies>
</project>
"""
MAVEN_SECONDS = 900


class KafkaInstallation(NamedTuple):
    """The Java program and the folder of jars."""

    java: str
    jars: Path


def find_kafka(environ: Mapping[str, str], notify: Notify) -> KafkaInstallation:
    """The installed Java, and the jars in the cache, fetched at the first call. Raises ToolMissing."""
    java = _java(environ)
    jars = _cache(environ) / f"kafka-{VERSION}"
    if not jars.is_dir():
        _fetch(jars, environ, notify)
    return KafkaInstallation(java, jars)


def _java(environ: Mapping[str, str]) -> str:
    home = environ.get("JAVA_HOME")
    java = str(Path(home) / "bin/java") if home else shutil.which("java", path=environ.get("PATH"))
    if java is None or not Path(java).exists():
        raise ToolMissing("Java", JAVA_REMEDY)
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 found above
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        raise ToolMissing(f"Java {JAVA_AT_LEAST} or newer ({java} says: {said.strip() or 'nothing'})", JAVA_REMEDY)
    return java


def _cache(environ: Mapping[str, str]) -> Path:
    # The cache directory of the XDG base directory specification.
    home = environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "tallyhouse"


def _fetch(jars: Path, environ: Mapping[str, str], notify: Notify) -> None:
    """Fetches all jars or none, in one process at a time: into a temporary folder, which is then renamed."""
    jars.parent.mkdir(parents=True, exist_ok=True)
    with jars.with_name(f"{jars.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jars.is_dir():
            return
        notify(f"fetching Kafka {VERSION} (45 MB, once) into {jars}")
        with tempfile.TemporaryDirectory(dir=jars.parent, prefix=f"{jars.name}.") as folder:
            _run_maven(Path(folder), environ)
            (Path(folder) / "jars").rename(jars)


def _run_maven(folder: Path, environ: Mapping[str, str]) -> None:
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise ToolMissing("Maven", MAVEN_REMEDY)
    pom = folder / "pom.xml"
    pom.write_text(POM.format(version=VERSION))
    command = (maven, "-B", "-q", "--strict-checksums", "-f", str(pom), COPY, f"-DoutputDirectory={folder / 'jars'}")
    done = subprocess.run(  # noqa: S603 our own arguments, and the program just found
        command, env=environ, capture_output=True, text=True, check=False, timeout=MAVEN_SECONDS
    )
    if done.returncode:
        raise ToolMissing(
            f"Kafka {VERSION}",
            "a way to Maven Central (a proxy or mirror is set in ~/.m2/settings.xml); "
            f"Maven said: {(done.stdout + done.stderr).strip()[-2000:]}",
        )
