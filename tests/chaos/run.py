"""A run from its start to its proof."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from tallyhouse.cli.client import Api
from tallyhouse.load.proof import MeterProof, prepare_meters, prove, wait_until_counted
from tallyhouse.local.kafka_jars import Runtime
from tests.chaos.cluster_under_test import UnderFire, cluster_under_fire
from tests.chaos.fault_injector import Executioner
from tests.chaos.fault_plan import draw_plan
from tests.chaos.fault_targets import Deed, Victims
from tests.chaos.load import RUN, Load
from tests.chaos.raw_events import RawProof, prove_raw_events
from tests.server_process import KEY

LOOK_SECONDS = 0.05
COUNT_PATIENCE = 600.0


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: the same orders make the same plan and the same events."""

    events: int
    """At least so many: load goes on until the last fault is over."""
    kills: int
    zombies: int
    seed: int
    rate: float
    """Events per second; bounds how close the faults are to each other."""


class Progress(NamedTuple):
    """How far it is."""

    acked: int
    posts_again: int
    deeds: Sequence[Deed]
    seconds: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, and what was proven."""

    orders: Orders
    deeds: Sequence[Deed]
    acked: int
    """Events, those posted twice included."""
    different: int
    posts_again: int
    """After a 503 or a lost connection."""
    seconds: float
    """Of load."""
    recovery: float
    """Seconds from the last ack until all is counted."""
    meters: Sequence[MeterProof]
    raw: RawProof

    @property
    def differences(self) -> Sequence[str]:
        """None, where each event is counted once."""
        told = [f"{proof.meter}: {line}" for proof in self.meters for line in proof.differences]
        return [*told, *self.raw.differences]


Watch = Callable[[Progress], object]


def run(orders: Orders, folder: Path, runtime: Runtime, watch: Watch) -> Outcome:
    """Raises where a process ends by itself, or something takes too long."""
    with cluster_under_fire(folder, runtime) as cluster:
        urls = [gateway.url for gateway in cluster.gateways]
        load = Load(urls, seed=orders.seed, rate=orders.rate)
        with Api(urls[0], KEY) as api:
            prepare_meters(api)
            began = time.monotonic()
            deeds = _strike_while_loading(orders, cluster, load, watch)
            loaded = time.monotonic()
            wait_until_counted(api, clock=time.monotonic, pause=time.sleep, patience=COUNT_PATIENCE)
            counted = time.monotonic()
            start, end = load.window
            meters = prove(api, load.truth, RUN, start=start, end=end)
        with cluster.opened_store() as store:
            raw = prove_raw_events(store, load.fresh_rows())
    return Outcome(
        orders=orders,
        deeds=deeds,
        acked=load.tally.acked,
        different=load.truth.events,
        posts_again=load.tally.retries,
        seconds=loaded - began,
        recovery=counted - loaded,
        meters=meters,
        raw=raw,
    )


def _strike_while_loading(orders: Orders, cluster: UnderFire, load: Load, watch: Watch) -> Sequence[Deed]:
    """The load ends when enough is acked and no fault is under way any more; so all faults fell while it ran."""
    plan = draw_plan(orders.seed, events=orders.events, kills=orders.kills, zombies=orders.zombies)
    victims = Victims(cluster)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as thread, Executioner(plan, victims.strike) as executioner:
        loading = thread.submit(load.run)
        try:
            while not loading.done():
                acked = load.tally.acked
                executioner.go_on(acked)
                watch(Progress(acked, load.tally.retries, executioner.deeds, time.monotonic() - began))
                if executioner.is_over and acked >= orders.events:
                    load.stop()
                time.sleep(LOOK_SECONDS)
        finally:
            load.stop()
        loading.result()
        victims.must_run()
        return executioner.deeds
