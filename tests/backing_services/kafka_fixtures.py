"""Brokers to ask for by name: the one all tests share, one that is surely real, one a test may kill."""

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
from tallyhouse.local.kafka_broker import KafkaBroker
from tallyhouse.local.kafka_jars import KafkaInstallation, find_kafka
from tests.backing_services.kafka import Print, SharedBroker, best_broker
from tests.skips import must_not_skip, skip_without


@pytest.fixture(scope="session")
def print_uncaptured(request: pytest.FixtureRequest) -> Print:
    """Say a line on the terminal, past the capturing of output; from a worker of xdist too."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def notify(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", file=sys.stderr, flush=True)

    return notify


@pytest.fixture(scope="session")
def shared_broker(
    tmp_path_factory: pytest.TempPathFactory, print_uncaptured: Print, docker: bool
) -> Iterator[SharedBroker]:
    """The best that can be had here: a container, else a local broker, else a stand-in."""
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
    """The address of a broker. Topics are not made by themselves; they must have names of their own: `topic_name`."""
    return shared_broker.bootstrap


@pytest.fixture(scope="session")
def real_broker(shared_broker: SharedBroker) -> str:
    """The address of a broker for tests that a stand-in cannot serve."""
    if shared_broker.missing is not None:
        skip_without(shared_broker.missing.what, shared_broker.missing.remedy)
    return shared_broker.bootstrap


@pytest.fixture(scope="session")
def runtime(print_uncaptured: Print) -> KafkaInstallation:
    """What a local broker is run with."""
    try:
        return find_kafka(os.environ, print_uncaptured)
    except ToolMissing as missing:
        skip_without(missing.what, missing.remedy)


@pytest.fixture(scope="module")
def module_broker(tmp_path_factory: pytest.TempPathFactory, runtime: KafkaInstallation) -> Iterator[KafkaBroker]:
    """Whatever one test did to it, the next one may ask for it as `killable_broker`."""
    with KafkaBroker(tmp_path_factory.mktemp("mortal"), runtime, SystemRandom()) as own:
        yield own


@pytest.fixture
def killable_broker(module_broker: KafkaBroker) -> KafkaBroker:
    """A running broker that no other test uses meanwhile, to be killed, paused and restarted."""
    module_broker.resume()
    module_broker.start()
    return module_broker


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Each call gives a name that no other test uses, in this run or another."""
    test = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:60]
    return lambda: f"{test}-{uuid.uuid4().hex[:12]}"


def _folder_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """The same for all workers of xdist: theirs lie in it."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
