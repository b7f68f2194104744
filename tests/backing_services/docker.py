"""Docker: whether it answers, which images to use, and waiting until a container serves."""

import gc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import yaml
from docker.errors import DockerException
from testcontainers.core.docker_client import DockerClient

from tests.server_process import wait_until

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
START_SECONDS = 90


class Container(Protocol):
    """The calls used of a started container."""

    image: str

    def get_logs(self) -> tuple[bytes, bytes]: ...


def docker_answers() -> bool:
    with warnings.catch_warnings():
        # Docker's client does not close a socket that it could not connect.
        warnings.simplefilter("ignore", ResourceWarning)
        answers = _pinged()
        gc.collect()
    return answers


def image_of(service: str) -> str:
    """The image that `deploy/compose.yaml` names."""
    image: str = yaml.safe_load(COMPOSE.read_text())["services"][service]["image"]
    return image


def wait_until_serving(container: Container, serves: Callable[[], bool], timeout: float = START_SECONDS) -> None:
    """Poll until the server answers, because its port is open earlier. Fails with its logs if it never does."""
    try:
        wait_until(f"{container.image} to serve", serves, timeout)
    except AssertionError as late:
        raise AssertionError(f"{late}; it says {container.get_logs()!r}") from None


def _pinged() -> bool:
    try:
        return bool(DockerClient().client.ping())
    except DockerException:
        return False
