"""The files for Docker name only settings, commands, services and packages that exist."""

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
TALLYHOUSE_SERVICES = sorted(name for name, service in SERVICES.items() if service["image"] == "tallyhouse")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def environment(service: str) -> dict[str, str]:
    """Returns the container's variables on a host that sets none."""
    declared = SERVICES[service]["environment"]
    return {name: re.sub(r"\$\{\w+:-(\w*)\}", r"\1", value) for name, value in declared.items() if value is not None}


def image_environment() -> dict[str, str]:
    return dict(re.findall(r"(TALLYHOUSE_\w+)=(\S+)", DOCKERFILE))


@pytest.mark.parametrize("service", TALLYHOUSE_SERVICES)
def test_every_process_can_read_its_settings(service: str) -> None:
    """No variable is unknown, missing or invalid."""
    settings = read_cluster_settings(image_environment() | environment(service))
    assert isinstance(settings, ClusterSettings)
    assert settings.kafka_brokers == ("kafka:9092",)
    assert settings.host == "0.0.0.0"  # noqa: S104 - the container's own network


def test_all_processes_belong_to_one_cluster() -> None:
    """They use the same log, store and ledger."""
    seen = {(s.kafka_topic, s.partitions, s.clickhouse_url, s.ledger_url) for s in map(_settings, TALLYHOUSE_SERVICES)}
    assert len(seen) == 1


def _settings(service: str) -> ClusterSettings:
    return read_cluster_settings(image_environment() | environment(service))


@pytest.mark.parametrize("service", TALLYHOUSE_SERVICES)
def test_every_command_exists(service: str) -> None:
    """The container's command is one of the program's."""
    finished = CliRunner().invoke(build(), [*shlex.split(SERVICES[service]["command"]), "--help"])
    assert finished.exit_code == 0, finished.output


def test_the_broker_has_the_version_of_the_tests() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{VERSION}"


def test_services_wait_for_services_that_exist() -> None:
    """A service that others wait for until it is healthy has a health check."""
    for name, service in SERVICES.items():
        for dependency, terms in service.get("depends_on", {}).items():
            assert dependency in SERVICES, name
            if terms["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[dependency], dependency


def test_only_the_gateway_publishes_a_port() -> None:
    """The port is on the host's loopback interface."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["gateway"]
    assert all(port.startswith("127.0.0.1:") for port in published["gateway"])


def test_log_store_and_ledger_are_on_volumes() -> None:
    """Their data outlives their containers."""
    for name in ("kafka", "clickhouse", "postgres"):
        (mount,) = SERVICES[name]["volumes"]
        assert mount.partition(":")[0] in COMPOSE["volumes"]


def test_the_image_has_every_package_and_does_not_run_as_root() -> None:
    """A missing package would fail only when a container starts."""
    root = DEPLOY.parent
    packages = {path.parent.name for path in root.glob("*/__init__.py")} - {"tests"}
    assert packages == set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    allowed = re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in line.split():
            assert source in allowed
            assert (root / source).exists()
    assert DOCKERFILE.rindex("\nUSER tallyhouse\n") < DOCKERFILE.rindex("\nENTRYPOINT")
