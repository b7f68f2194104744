"""Fixtures for brokers: the one that all tests share, one that is certainly real, and one that a test may kill."""

import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

import pytest

from tallyhouse.local.background_program import ToolMissing
from tallyhouse.local.kafka_jars import KafkaInstallation, find_kafka
from tests.backing_services.kafka import PausableKafkaBroker, Print, SharedBroker, best_broker
from tests.skips import must_not_skip, skip_without


@pytest.fixture(scope="session")
def print_uncaptured(request: pytest.FixtureRequest) -> Print:
    """Print a line on the terminal despite the capturing of output, also from a worker of xdist."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def notify(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", file=sys.stderr, flush=True)

    return notify


@pytest.fixture(scope="session")
def shared_broker(
    tmp_path_factory: pytest.TempPathFactory, print_uncaptured: Print, docker: bool
) -> Iterator[SharedBroker]:
    """The best available broker: a container, otherwise a local broker, otherwise a mock."""
    folder = _folder_of_the_run(tmp_path_factory) / "kafka"
    with ExitStack() as stack:
        choice = best_broker(folder, os.environ, print_uncaptured, docker=docker, only_real=must_not_skip())
        try:
            shared = stack.enter_context(choice)
        except ToolMissing as missing:
            skip_without(missing.what, missing.remedy)
        yield shared


@pytest.fixture(scope="session")
def broker(shared_broker: SharedBroker) -> str:
    """The address of a broker. It does not create topics by itself; their names come from `topic_name`."""
    return shared_broker.bootstrap


@pytest.fixture(scope="session")
def real_broker(shared_broker: SharedBroker) -> str:
    """The address of a broker, for tests that a mock cannot serve."""
    if shared_broker.missing is not None:
        skip_without(shared_broker.missing.what, shared_broker.missing.remedy)
    return shared_broker.bootstrap


@pytest.fixture(scope="session")
def runtime(print_uncaptured: Print) -> KafkaInstallation:
    """The installation that a local broker runs with."""
    try:
        return find_kafka(os.environ, print_uncaptured)
    except ToolMissing as missing:
        skip_without(missing.what, missing.remedy)


@pytest.fixture(scope="module")
def module_broker(
    tmp_path_factory: pytest.TempPathFactory, runtime: KafkaInstallation
) -> Iterator[PausableKafkaBroker]:
    """The broker of the module, which `killable_broker` restores for each test."""
    with PausableKafkaBroker(tmp_path_factory.mktemp("mortal"), runtime, SystemRandom()) as own:
        yield own


@pytest.fixture
def killable_broker(module_broker: PausableKafkaBroker) -> PausableKafkaBroker:
    """A running broker that no other test uses, which may be killed, paused and restarted."""
    module_broker.resume()
    module_broker.start()
    return module_broker


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Each call returns a name that no other test uses, in this run or another."""
    test = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:60]
    return lambda: f"{test}-{uuid.uuid4().hex[:12]}"


def _folder_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """The folder of the run, which contains those of all xdist workers."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
