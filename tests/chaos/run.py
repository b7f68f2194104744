"""Runs the cluster under load and faults, then proves the counts and the raw events."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from tallyhouse.cli.client import ApiClient
from tallyhouse.load.proof import MeterProof, prepare_meters, prove, wait_until_counted
from tallyhouse.local.kafka_jars import KafkaInstallation
from tests.chaos.cluster_under_test import ClusterUnderTest, running_cluster
from tests.chaos.fault_injector import FaultInjector
from tests.chaos.fault_plan import draw_plan
from tests.chaos.fault_targets import FaultTargets, InjectedFault
from tests.chaos.load import RUN, Load
from tests.chaos.raw_events import RawProof, prove_raw_events
from tests.server_process import KEY

POLL_SECONDS = 0.05
COUNT_TIMEOUT = 600.0


class ChaosOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The same options produce the same plan and the same events."""

    events: int
    """The minimum: the load continues until the last fault has ended."""
    kills: int
    zombies: int
    seed: int
    rate: float
    """Events per second; limits how close together the faults are."""


class ChaosProgress(NamedTuple):
    acked: int
    posts_again: int
    injected: Sequence[InjectedFault]
    seconds: float


class ChaosOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was injected, sent and proven. Durations are in seconds."""

    options: ChaosOptions
    injected: Sequence[InjectedFault]
    acked: int
    """Events, including those posted twice."""
    different: int
    posts_again: int
    """After a 503 or a lost connection."""
    seconds: float
    """Duration of the load."""
    recovery: float
    """Seconds from the last acknowledgement until every event is counted."""
    meters: Sequence[MeterProof]
    raw: RawProof

    @property
    def differences(self) -> Sequence[str]:
        """Empty if each event is counted once."""
        of_meters = [f"{proof.meter}: {line}" for proof in self.meters for line in proof.differences]
        return [*of_meters, *self.raw.differences]


OnProgress = Callable[[ChaosProgress], object]


def run(options: ChaosOptions, folder: Path, runtime: KafkaInstallation, on_progress: OnProgress) -> ChaosOutcome:
    """Raises AssertionError if a process ends without a fault, or a wait exceeds its timeout."""
    with running_cluster(folder, runtime) as cluster:
        urls = [gateway.url for gateway in cluster.gateways]
        load = Load(urls, seed=options.seed, rate=options.rate)
        with ApiClient(urls[0], KEY) as api:
            prepare_meters(api)
            began = time.monotonic()
            injected = _inject_faults_under_load(options, cluster, load, on_progress)
            loaded = time.monotonic()
            wait_until_counted(api, clock=time.monotonic, pause=time.sleep, timeout=COUNT_TIMEOUT)
            counted = time.monotonic()
            start, end = load.window
            meters = prove(api, load.expected_usage, RUN, start=start, end=end)
        with cluster.opened_store() as store:
            raw = prove_raw_events(store, load.fresh_rows())
    return ChaosOutcome(
        options=options,
        injected=injected,
        acked=load.stats.acked,
        different=load.expected_usage.events,
        posts_again=load.stats.retries,
        seconds=loaded - began,
        recovery=counted - loaded,
        meters=meters,
        raw=raw,
    )


def _inject_faults_under_load(
    options: ChaosOptions, cluster: ClusterUnderTest, load: Load, on_progress: OnProgress
) -> Sequence[InjectedFault]:
    """Ends the load when enough events are acknowledged and no fault is left, so that every fault falls under load."""
    plan = draw_plan(options.seed, events=options.events, kills=options.kills, zombies=options.zombies)
    targets = FaultTargets(cluster)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as thread, FaultInjector(plan, targets.inject) as injector:
        loading = thread.submit(load.run)
        try:
            while not loading.done():
                acked = load.stats.acked
                injector.inject_due(acked)
                on_progress(ChaosProgress(acked, load.stats.retries, injector.injected, time.monotonic() - began))
                if injector.is_over and acked >= options.events:
                    load.stop()
                time.sleep(POLL_SECONDS)
        finally:
            load.stop()
        loading.result()
        targets.assert_running()
        return injector.injected
