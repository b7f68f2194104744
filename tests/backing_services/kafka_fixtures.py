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

from tallyhouse.local.kafka_broker import KafkaBroker
from tallyhouse.local.kafka_jars import Runtime, ToolMissing, kafka_runtime
from tests.backing_services.kafka import Shared, Tell, best_broker
from tests.skips import must_not_skip, skip_without


@pytest.fixture(scope="session")
def tell_aloud(request: pytest.FixtureRequest) -> Tell:
    """Say a line on the terminal, past the capturing of output; from a worker of xdist too."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def tell(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", file=sys.stderr, flush=True)

    return tell


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory, tell_aloud: Tell, docker: bool) -> Iterator[Shared]:
    """The best that can be had here: a container, else a local broker, else a stand-in."""
    folder = _folder_of_the_run(tmp_path_factory) / "kafka"
    with ExitStack() as stack:
        choice = best_broker(folder, os.environ, tell_aloud, docker=docker, only_real=must_not_skip())
        try:
            shared = stack.enter_context(choice)
        except ToolMissing as missing:
            skip_without(missing.what, missing.remedy)
        yield shared


@pytest.fixture(scope="session")
def broker(shared_broker: Shared) -> str:
    """The address of a broker. Topics are not made by themselves; they must have names of their own: `topic_name`."""
    return shared_broker.bootstrap


@pytest.fixture(scope="session")
def real_broker(shared_broker: Shared) -> str:
    """The address of a broker for tests that a stand-in cannot serve."""
    if shared_broker.missing is not None:
        skip_without(shared_broker.missing.what, shared_broker.missing.remedy)
    return shared_broker.bootstrap


@pytest.fixture(scope="session")
def runtime(tell_aloud: Tell) -> Runtime:
    """What a local broker is run with."""
    try:
        return kafka_runtime(os.environ, tell_aloud)
    except ToolMissing as missing:
        skip_without(missing.what, missing.remedy)


@pytest.fixture(scope="module")
def broker_of_the_module(tmp_path_factory: pytest.TempPathFactory, runtime: Runtime) -> Iterator[KafkaBroker]:
    """Whatever one test did to it, the next one may ask for it as `mortal_broker`."""
    with KafkaBroker(tmp_path_factory.mktemp("mortal"), runtime, SystemRandom()) as own:
        yield own


@pytest.fixture
def mortal_broker(broker_of_the_module: KafkaBroker) -> KafkaBroker:
    """A running broker that no other test uses meanwhile, to be killed, paused and restarted."""
    broker_of_the_module.resume()
    broker_of_the_module.start()
    return broker_of_the_module


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Each call gives a name that no other test uses, in this run or another."""
    test = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:60]
    return lambda: f"{test}-{uuid.uuid4().hex[:12]}"


def _folder_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """The same for all workers of xdist: theirs lie in it."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
