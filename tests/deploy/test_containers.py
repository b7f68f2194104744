"""The files for Docker name only what exists: settings, commands, services, packages."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tallyhouse.cli.app import build
from tallyhouse.local.kafka_jars import VERSION
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.environment import read_cluster_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "tallyhouse")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def environment(service: str) -> dict[str, str]:
    """What the container gets where the host sets nothing."""
    given = SERVICES[service]["environment"]
    return {name: re.sub(r"\$\{\w+:-(\w*)\}", r"\1", value) for name, value in given.items() if value is not None}


def image_environment() -> dict[str, str]:
    return dict(re.findall(r"(TALLYHOUSE_\w+)=(\S+)", DOCKERFILE))


@pytest.mark.parametrize("service", OURS)
def test_every_process_can_read_its_settings(service: str) -> None:
    """No unknown variable, none missing, none with a bad value."""
    settings = read_cluster_settings(image_environment() | environment(service))
    assert isinstance(settings, ClusterSettings)
    assert settings.kafka_brokers == ("kafka:9092",)
    assert settings.host == "0.0.0.0"  # noqa: S104 - inside the container


def test_all_processes_belong_to_one_cluster() -> None:
    """The same log, store and ledger for everyone."""
    seen = {(s.kafka_topic, s.partitions, s.clickhouse_url, s.ledger_url) for s in map(_settings, OURS)}
    assert len(seen) == 1


def _settings(service: str) -> ClusterSettings:
    return read_cluster_settings(image_environment() | environment(service))


@pytest.mark.parametrize("service", OURS)
def test_every_command_exists(service: str) -> None:
    """What a container runs is a command of ours."""
    finished = CliRunner().invoke(build(), [*shlex.split(SERVICES[service]["command"]), "--help"])
    assert finished.exit_code == 0, finished.output


def test_the_broker_is_the_one_the_tests_run_on() -> None:
    """With Docker or without, the same Kafka."""
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{VERSION}"


def test_services_wait_for_services_that_exist() -> None:
    """And for a health check only where there is one."""
    for name, service in SERVICES.items():
        for needed, terms in service.get("depends_on", {}).items():
            assert needed in SERVICES, name
            if terms["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed], needed


def test_stores_are_reached_from_inside_only() -> None:
    """Only the gateway has a port on the host, and only on its loopback."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["gateway"]
    assert all(port.startswith("127.0.0.1:") for port in published["gateway"])


def test_what_is_kept_is_on_volumes() -> None:
    """A container may go; the log, the usage and the ledger may not."""
    for name in ("kafka", "clickhouse", "postgres"):
        (mount,) = SERVICES[name]["volumes"]
        assert mount.partition(":")[0] in COMPOSE["volumes"]


def test_the_image_holds_every_package_and_no_root() -> None:
    """A package that is left out would be missed only when a container starts."""
    root = DEPLOY.parent
    packages = {path.parent.name for path in root.glob("*/__init__.py")} - {"tests"}
    assert packages == set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    allowed = re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in line.split():
            assert source in allowed
            assert (root / source).exists()
    assert DOCKERFILE.rindex("\nUSER tallyhouse\n") < DOCKERFILE.rindex("\nENTRYPOINT")
