"""One run: processes of workers, a store, a log, and their faults."""

from collections.abc import Callable, Hashable, Iterator
from functools import partial

import msgspec

from schemas.window import DEDUPE_WINDOW
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.core.flush_plan import PieceBounds
from stream_processors.flushing.backfill import BackfillPorts
from stream_processors.flushing.expiry import expired_months
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from tests.simulator.actors import Actor, Backfiller, SimulatedWorker
from tests.simulator.checks import Checks, PromiseBroken
from tests.simulator.choices import Choices
from tests.simulator.components import Components, Store
from tests.simulator.expected import Expected
from tests.simulator.faults import CallOutcome, Rules
from tests.simulator.scenario import PARTITION, Scenario
from tests.simulator.scheduler import Action, PortCall
from tests.simulator.sources import SimulatedMeters
from tests.simulator.statements import RunningStatement, StatementState

MOST_STEPS = 3_000
"""The most actions of a run; a longer one does not terminate."""

FILTER_KEYS = 32
"""The capacity of a new filter: small, so that it is cheap to create."""

GO_ON, SWITCH, FAULT, RARE = 6.0, 1.0, 0.05, 0.3
"""The relative probabilities of the actions in a random run."""


class Setup(msgspec.Struct, frozen=True):
    """Everything that determines a run except its choices."""

    scenario: Scenario
    rules: Rules
    parts: Components


class Simulation:
    """Executes the actions that its choices pick, and checks the promises after each."""

    def __init__(self, setup: Setup, choices: Choices) -> None:
        self.scenario, self.rules, self.parts = setup.scenario, setup.rules, setup.parts
        self.choices = choices
        self.trace: list[str] = []
        self.log = self.parts.log(self.scenario.frames(), self.learn)
        self.meters = SimulatedMeters(self.scenario.versions, self.learn)
        self.engine = self.parts.engine(self.learn, self.running_process)
        self.expected = Expected(self.scenario)
        self.checks = Checks(
            self.scenario, self.expected, self.engine.durable, self.log, checks_rows=self.parts.checks_rows
        )
        self.actors: list[Actor] = []
        self.stores: dict[int, Store] = {}
        self.current: Actor | None = None
        self.faults_left = self.rules.faults
        self.switches_left = self.rules.switches
        self.draining = False

    def run(self) -> None:
        """Executes actions until no actor has work; then, without faults, one new worker finishes."""
        self.log.end = 0 if self.rules.trickle else len(self.log.frames)
        for process in range(self.parts.processes):
            self._start(process)
        if self.rules.reader:
            for reader in (self.parts.reader, self.parts.receipt_reader):
                self._enter(reader(self.engine.durable, self.checks, self.expected, self._version_seen))
        self._until_rest()
        self._drain()
        self.checks.at_the_end(self.scenario.meters)

    def close(self) -> None:
        for actor in self.actors:
            actor.task.kill()

    def learn(self, reply: Hashable) -> None:
        """Adds the reply to the memory of the running actor."""
        if self.current is not None:
            self.current.task.learn(reply)

    def running_process(self) -> int:
        return self.current.process if self.current else 0

    def state(self) -> Hashable:
        """Equal states have equal futures."""
        return (
            self.engine.state(),
            self.log.end,
            self.log.acknowledged,
            self.meters.newest,
            tuple(actor.state() for actor in self.actors),
            tuple(_content(store) for store in self.stores.values()),
            self.current and self.current.name,
            self.faults_left,
            self.switches_left,
            self.draining,
            self.checks.state(),
        )

    # Actors.

    def _start(self, process: int) -> None:
        store = self.stores[process] = self.parts.store(self.engine)
        policies = [
            FlushPolicy(window=self.parts.window, max_bytes=size, filter_keys=FILTER_KEYS, piece=PieceBounds(rows=rows))
            for size, rows in zip(self.scenario.flush_bytes, self.scenario.piece_rows, strict=True)
        ]
        for index, policy in enumerate(policies[process :: self.parts.processes]):
            self._enter(SimulatedWorker(f"w{process}.{index}", process, self._partition(store, policy), self._has_more))
        if self.rules.backfill:
            self._enter(self._backfiller(process, store))

    def _backfiller(self, process: int, store: Store) -> Backfiller:
        ports = BackfillPorts(meters=self.meters, history=store, tables=store)
        bounds = PieceBounds(rows=self.scenario.piece_rows[process % len(self.scenario.piece_rows)])
        backfill = self.parts.backfill(ports, PARTITION + 1, bounds)
        return Backfiller(f"b{process}", process, backfill, self._version_seen)

    def _version_seen(self) -> Hashable:
        """The state that can give an idle actor new work."""
        return (len(self.engine.durable.journal), self.meters.newest)

    def _enter(self, actor: Actor) -> None:
        self.actors.append(actor)
        before, self.current = self.current, actor
        actor.task.start()
        self.current = before

    def _leave(self, actor: Actor) -> None:
        actor.task.kill()
        self.actors.remove(actor)

    def _partition(self, store: Store, policy: FlushPolicy) -> Partition:
        ports = FlushPorts(
            log=self.log, claims=store, tables=store, seen=store, meters=self.meters, pause=_wait, monotonic=_no_clock
        )
        return self.parts.partition(PARTITION, ports, policy)

    def _has_more(self, partition: Partition) -> bool:
        position = partition.position
        assert position is not None
        return self.log.holds(position.offset) or position.version < self.meters.newest

    # Actions.

    def _until_rest(self) -> None:
        for _ in range(MOST_STEPS):
            actions = list(self._actions())
            if not actions:
                return
            chosen = actions[self.choices.pick([action.weight for action in actions]) if len(actions) > 1 else 0]
            self.trace.append(chosen.label)
            chosen.do()
            self.checks.after_step()
        if self.draining:
            raise PromiseBroken(f"not at rest after {MOST_STEPS} steps without a fault: the run does not terminate")

    def _drain(self) -> None:
        self.trace.append("-- from here on without faults: one new worker finishes")
        self.draining = True
        self.faults_left = 0
        self.log.end, self.meters.newest = len(self.log.frames), self.scenario.versions
        self._crash(*range(self.parts.processes))
        for actor in [actor for actor in self.actors if isinstance(actor, SimulatedWorker)][1:]:
            self._leave(actor)
        self._until_rest()

    def _actions(self) -> Iterator[Action]:
        at_work = [*self._calls(), *self._statements()]
        yield from at_work
        if not self.draining:
            yield from self._developments()
            # If all actors are idle, a crash would have the same effect as the drain.
            if at_work and self.faults_left:
                yield from self._process_failures()

    def _calls(self) -> Iterator[Action]:
        ahead = self.current if self.current in self.actors and self.current.busy else None
        for actor in sorted(self.actors, key=lambda actor: actor is not ahead):
            if not actor.ready or not self._may_switch(ahead, actor):
                continue
            call = actor.task.waiting
            assert call is not None
            weight = GO_ON if actor is ahead else SWITCH
            for outcome in call.outcomes:
                if outcome is CallOutcome.OK:
                    yield Action(f"{actor.name}: {call.name}", weight, partial(self._resume, actor, CallOutcome.OK))
                elif self._may_end(outcome):
                    label = f"{actor.name}: {call.name} -> {outcome}"
                    yield Action(label, FAULT, partial(self._resume, actor, outcome))

    def _may_switch(self, ahead: "Actor | None", actor: "Actor") -> bool:
        return ahead is None or actor is ahead or self.switches_left is None or self.switches_left > 0

    def _may_end(self, outcome: CallOutcome) -> bool:
        return self.faults_left > 0 and outcome in self.rules.outcomes

    def _resume(self, actor: Actor, outcome: CallOutcome) -> None:
        if self.switches_left is not None and self.current is not actor and self.current and self.current.busy:
            self.switches_left -= 1
        if outcome is not CallOutcome.OK:
            self.faults_left -= 1
        self.current = actor
        actor.task.resume(outcome)
        if actor.alarm:
            raise PromiseBroken(f"{actor.name} stopped with an alarm: {actor.alarm}")
        if outcome is CallOutcome.TOKEN_ONLY and self.parts.store_dies_with_process:
            self._crash(actor.process)

    def _statements(self) -> Iterator[Action]:
        for statement in self.engine.statements.unfinished:
            stage = "at last starts" if statement.stage is StatementState.SENT else "commits"
            yield Action(f"store: {stage} {statement.label}", GO_ON, partial(self.engine.statements.advance, statement))

    def _developments(self) -> Iterator[Action]:
        if self.log.end < len(self.log.frames):
            yield Action("a frame arrives", RARE, self._arrive)
        if self.meters.newest < self.scenario.versions:
            yield Action("a meter is made", RARE, self._make_meter)
        if self.rules.expiry and (months := self._expired()):
            yield Action(f"seen keys of {months} expire", RARE, partial(self.engine.durable.drop_seen, months))
        for actor in self.actors:
            if actor.paused:
                yield Action(f"{actor.name}: resumes", RARE, actor.toggle)

    def _process_failures(self) -> Iterator[Action]:
        if self.rules.pauses:
            for actor in self.actors:
                if actor.ready:
                    yield Action(f"{actor.name}: is paused", FAULT, partial(self._pause, actor))
        if self.rules.crash:
            for process in range(self.parts.processes):
                yield Action(f"process {process} dies and starts again", FAULT, partial(self._power_failure, process))
        yield from self._store_failures()
        if self.rules.power_cut:
            yield Action("the power fails", FAULT, self._power_cut)
        if self.rules.forget_tokens and self.engine.can_forget:
            yield Action("tokens are forgotten", FAULT, self._forget_tokens)

    def _store_failures(self) -> Iterator[Action]:
        running = self.engine.statements.running
        for statement in [statement for statement in running if statement.stage is StatementState.PASSED]:
            if CallOutcome.TOKEN_ONLY in self.rules.outcomes:
                label = f"store: dies with the token of {statement.label} written and its rows lost"
                yield Action(label, FAULT, partial(self._store_dies, statement))
            if self.rules.stalls:
                label = f"store: writes the token of {statement.label} and stalls"
                yield Action(label, FAULT, partial(self._stall, statement))
        if self.rules.store_dies and running:
            yield Action("store: dies", FAULT, self._store_is_killed)

    def _expired(self) -> list[int]:
        batches, next_one = self.scenario.batches, self.checks.counted_up_to + 1
        if not batches[: self.log.end]:
            return []
        oldest, newest = batches[min(next_one, self.log.end - 1)].arrival, batches[self.log.end - 1].arrival
        months = self.engine.durable.months_of_seen()
        return expired_months(months, self.parts.expiry_judged_by(oldest, newest), DEDUPE_WINDOW)

    def _arrive(self) -> None:
        self.log.end += 1

    def _make_meter(self) -> None:
        self.meters.newest += 1

    def _pause(self, actor: Actor) -> None:
        self.faults_left -= 1
        actor.toggle()

    def _store_dies(self, statement: RunningStatement) -> None:
        self.faults_left -= 1
        self.engine.die_committing(statement)

    def _forget_tokens(self) -> None:
        self.faults_left -= 1
        self.engine.forget_tokens()

    def _stall(self, statement: RunningStatement) -> None:
        self.faults_left -= 1
        self.engine.statements.stall(statement)

    def _store_is_killed(self) -> None:
        self.faults_left -= 1
        self.engine.statements.all_fail()

    def _power_cut(self) -> None:
        self.faults_left -= 1
        self._crash(*range(self.parts.processes))
        self.engine.power_cut()

    def _power_failure(self, process: int) -> None:
        self.faults_left -= 1
        self._crash(process)

    def _crash(self, *processes: int) -> None:
        for actor in [actor for actor in self.actors if actor.process in processes]:
            self._leave(actor)
        for process in processes:
            self.engine.process_died(process)
            self._start(process)


def _content(store: Store) -> Hashable:
    """What a process remembers of its flushes besides its partitions' state."""
    if not isinstance(store, GuardedStore):
        return None
    read = {partition: (number, tuple(found)) for partition, (number, found) in store._just_read.items()}
    return (tuple(store._first_attempts.items()), tuple(read.items()))


async def _wait(_attempt: int) -> None:
    await PortCall("pause")


def _no_clock() -> float:
    return 0.0


def simulation_of(setup: Setup) -> Callable[[Choices], Simulation]:
    """A function that makes runs which differ only in their choices."""
    return partial(Simulation, setup)
