"""One log as a model: gateways, routers, a log and a network that loses and doubles, in every interleaving of
a small scenario.

What must hold in every state: what a reader says of an entry is what a reader of the whole log says, and so
is what it then knows; each gateway was given exactly the items that the whole log has for its life up to its
number, or a Reset; what its client was given of the room is without a hole and without a repeat from its JOIN
on, or it was told; what is acknowledged is numbered so; no message is numbered twice; an event has one id and
one content. And from every state, progress alone leads to one in which all stands at the log's end, all that
a client said and did not give up is acknowledged, in its order, and all events have been told.

A log is a number here: that of its last entry, which knows the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.model.build import LARGE, Build, Scenario
from tests.model.parts import ROOM, Gateway, begun, knowing, poison
from tests.model.search import Broken, Found, Step, Store, search

from router.core.effects import BackendEvent, Began, FeedItem, UnknownVersion
from router.core.fold import Fold
from warren.envelope import Ack, Checkpoint, Gone, Mark, Notified, Number, Publish, Rules, decode, encode
from warren.errors import MalformedEnvelope
from warren.position import LogPosition, Position

NOBODY = -1  # a router that is dead
DOWN = -2  # one that has stood down
EMPTY = 0  # the log before its first entry
VERSION, NEWEST = 1, 2


class Entry(NamedTuple):
    """One entry of a log, and what a reader of all of it makes of it."""

    before: int
    offset: int
    record: bytes
    fold: int
    effects: tuple[Any, ...]
    digest: bytes
    life: str


class AllKnowing:
    """The fold of whoever has read all of the log, and knows every version."""

    def __init__(self, fold: Fold) -> None:
        self.fold = fold

    def apply(self, offset: int, record: bytes) -> tuple[Any, ...]:
        return tuple(knowing(NEWEST, self.fold.apply, offset, record))

    def position(self, room: str) -> Position:
        return self.fold.position(room)

    def digest(self) -> bytes:
        return self.fold.parts()[1]


class Reading(NamedTuple):
    """A router: its content, the log that it reads, and up to where it has."""

    router: int
    generation: int
    offset: int


class State(NamedTuple):
    """Everything, immutable."""

    log: int
    first: int  # entries below this offset have been dropped
    generation: int  # of the stream: it may be deleted and declared again
    graves: tuple[int, ...]
    skip: bool  # the broker leaves out a number
    late: tuple[bytes, ...]  # batches that may still arrive
    acts: tuple[int, ...]  # how much each client has done, and the backends
    gateways: tuple[int, ...]
    routers: tuple[Reading | int, ...]
    queues: tuple[tuple[int, ...], ...]  # router by router, for each gateway: parcels on their way
    events: frozenset[str]
    left: tuple[int, ...]  # of each kind of fault


class World:
    """A scenario, built of these classes."""

    def __init__(self, scenario: Scenario, build: Build | None = None) -> None:
        self.scenario, self.build = scenario, build or Build()
        self.store = Store()
        self.names = tuple(scenario.gateways)
        self.routers = tuple(f"r{number}" for number in range(len(scenario.routers)))
        self.kinds = tuple(scenario.faults)
        fold = AllKnowing(self.build.fold(0, 1))
        self.entries = [Entry(-1, -1, b"", self.store.put(fold), (), fold.digest(), "")]
        self.logs: dict[tuple[int, int, bytes], int] = {}
        self.kept: dict[int, tuple[int, ...]] = {EMPTY: ()}
        self.parcels: list[Any] = []
        self.parcel_numbers: dict[Any, int] = {}
        self.received: dict[Any, int] = {}
        self.starts: dict[Any, int] = {}

    def search(self) -> Found:
        try:
            first = self.calm()
        except Broken as broken:
            return Found(0, ["before the first fault", str(broken)])
        return search(first, self.following, self.well, self.scenario.limit)

    def calm(self) -> State:
        """Return a state in which each client has done what comes first, and all is well: what follows is
        searched from there.
        """
        whole, self.scenario = self.scenario, self.scenario.beginning()
        todo, seen = [self.first()], set()
        while not (todo and self.well(todo[-1])):  # depth first, and nothing fails
            if not todo or len(seen) > 1_000:
                raise Broken("it never comes right")
            state = todo.pop()
            fresh = [
                step.state for step in self.following(state) if not step.fault and step.state not in seen
            ]
            seen.update(fresh)
            todo += fresh
        self.scenario = whole
        return todo[-1]

    # ── the log ──
    def first(self) -> State:
        log = self.append(
            EMPTY, 0, encode([Rules("l0", VERSION, self.scenario.ids, 100, self.scenario.gone, 0)])
        )
        readings = tuple(self.start(log, 0, number) for number in range(len(self.routers)))
        return State(
            log,
            0,
            0,
            (),
            False,
            (),
            (0,) * (len(self.names) + 1),
            tuple(self.store.put(Gateway(self.build, self.scenario, name)) for name in self.names),
            tuple(Reading(reading, 0, -1) for reading in readings),
            ((),) * (len(self.names) * len(self.routers)),
            frozenset(),
            tuple(self.scenario.faults.values()),
        )

    def append(self, log: int, offset: int, record: bytes) -> int:
        key = (log, offset, record)
        number = self.logs.get(key)
        if number is None:
            fold, effects = self.store.call(self.entries[log].fold, "apply", offset, record)
            digest = self.store.look(fold, "digest")
            number = self.logs[key] = len(self.entries)
            life = self.store.look(fold, "position", ROOM).epoch.partition("-")[0]
            self.entries.append(Entry(log, offset, record, fold, effects, digest, life))
            self.kept[number] = (*self.kept[log], number)
            self._judge(number)
            self._judge_checkpoint(number)
        return number

    def _judge_checkpoint(self, log: int) -> None:
        """What is taken for a whole checkpoint is the state as of its place."""
        whole, parts = None, self.build.parts()
        for number in self.kept[log]:
            match decode(self.entries[number].record):
                case [Checkpoint() as part]:
                    whole = parts.take(part)
                case _:
                    whole = None
        if whole is None:
            return
        try:
            fold = knowing(NEWEST, self.build.fold.restored, 0, 1, whole.offset, whole.bodies)
        except MalformedEnvelope as error:
            raise Broken(f"a checkpoint that is whole, and none: {error}") from None
        if all(
            self.entries[each].digest != fold.parts()[1]
            for each in self.kept[log]
            if self.entries[each].offset == whole.offset
        ):
            raise Broken(f"the checkpoint of {whole.offset} is not what the log makes up to there")

    def _judge(self, log: int) -> None:
        """No message counts twice in one life of the log."""
        if self.scenario.few_ids:
            return
        seen = set()
        for number in self.kept[log]:
            entry = self.entries[number]
            for effect in entry.effects:
                if isinstance(effect, BackendEvent) and effect.message is not None and effect.message.id:
                    if (entry.life, effect.message.id) in seen:
                        raise Broken(f"{effect.message.id} is numbered twice")
                    seen.add((entry.life, effect.message.id))

    def appended(self, s: State, record: bytes) -> State:
        offset = self.entries[s.log].offset + (2 if s.skip else 1)
        return s._replace(log=self.append(s.log, offset, record), skip=False)

    def end(self, log: int) -> LogPosition:
        entry = self.entries[log]
        return LogPosition(entry.life, entry.offset, entry.effects[-1].index if entry.effects else 0)

    def due(self, s: State, name: str, life: int, after: LogPosition | None, upto: LogPosition) -> list[Any]:
        """Return the items that the whole log has for a gateway's life behind one place, up to another."""
        for log in (s.log, *s.graves):
            if any(self.entries[number].life == upto.life for number in self.kept[log]):
                break
        items: list[Any] = []
        for number in self.kept[log]:
            entry = self.entries[number]
            for effect in entry.effects if entry.life == upto.life else ():
                place = LogPosition(entry.life, entry.offset, effect.index)
                comes = (after is None or place > after) and place <= upto
                if (
                    isinstance(effect, Began)
                    and effect.gateway == name
                    and effect.life == life
                    and after is None
                ):
                    items.clear()
                elif comes and isinstance(effect, FeedItem) and name in effect.gateways:
                    items.append(effect.item)
        return items

    # ── what can happen ──
    def following(self, s: State) -> Iterator[Step]:
        for index, name in enumerate(self.names):
            yield from self._client(s, index, name)
            yield from self._way_in(s, index, name)
            yield from self._way_out(s, index, name)
        yield from self._backends(s)
        for number in range(len(self.routers)):
            yield from self._router(s, number)
        yield from self._log(s)

    def spend(self, s: State, kind: str) -> State | None:
        """Return the state with one fault of that kind less; None where there is none left."""
        if kind not in self.kinds:
            return None
        at = self.kinds.index(kind)
        return s._replace(left=_with(s.left, at, s.left[at] - 1)) if s.left[at] else None

    def had(self, s: State, *kinds: str) -> bool:
        faults = self.scenario.faults
        return any(faults.get(kind, 0) > s.left[self.kinds.index(kind)] for kind in kinds if kind in faults)

    def _client(self, s: State, index: int, name: str) -> Iterator[Step]:
        acts = self.scenario.gateways[name]
        done = s.acts[index]
        if done == len(acts) or (
            self.scenario.apart and self.store.look(s.gateways[index], "record") is not None
        ):
            return
        act = acts[done]
        gateway, _ = self.store.call(s.gateways[index], "act", *act)
        after = s._replace(acts=_with(s.acts, index, done + 1), gateways=_with(s.gateways, index, gateway))
        yield Step(f"{name}'s client: {' '.join(act)}", after)

    def _way_in(self, s: State, index: int, name: str) -> Iterator[Step]:
        gateway, record = self.store.call(s.gateways[index], "record")
        if record is None:
            return

        def went(spent: State, how: str, *arguments: bool) -> State:
            after, _ = self.store.call(gateway, how, *arguments)
            return spent._replace(gateways=_with(s.gateways, index, after))

        yield Step(f"{name}'s batch is in the log", self.appended(went(s, "confirmed"), record))
        for give_up in (False, True):
            spent = s
            if give_up:
                if not self.store.look(gateway, "can_give_up"):
                    continue
                spent = self.spend(s, "given up")
            how = f"{', and something of it is given up' if give_up else ''}"
            if spent is None:
                continue
            if (unheard := self.spend(spent, "confirm lost")) is not None:
                yield Step(
                    f"{name}'s batch is in the log, and nobody hears so{how}",
                    self.appended(went(unheard, "failed", give_up), record),
                    True,
                )
            if (gone := self.spend(spent, "batch lost")) is not None:
                yield Step(f"{name}'s batch is lost{how}", went(gone, "failed", give_up), True)
            if (late := self.spend(spent, "batch late")) is not None:
                late = late._replace(late=tuple(sorted((*s.late, record))))
                yield Step(f"{name}'s batch is late{how}", went(late, "failed", give_up), True)

    def _backends(self, s: State) -> Iterator[Step]:
        done = s.acts[-1]
        if done < len(self.scenario.backend):
            after = self.appended(s, _notified(self.scenario.backend[done]))
            yield Step(
                f"a backend says {self.scenario.backend[done]}",
                after._replace(acts=_with(s.acts, -1, done + 1)),
            )
        if (twice := self.spend(s, "notified twice")) is not None:
            for ident in self.scenario.backend[:done]:
                yield Step(
                    f"what a backend said comes again: {ident}", self.appended(twice, _notified(ident)), True
                )

    def _way_out(self, s: State, index: int, name: str) -> Iterator[Step]:
        for number, router in enumerate(self.routers):
            at = number * len(self.names) + index
            if not s.queues[at]:
                continue
            parcel, *rest = s.queues[at]
            taken = s._replace(queues=_with(s.queues, at, tuple(rest)))
            what = f"what {router} sent {name} ({type(self.parcels[parcel]).__name__})"
            yield Step(f"{what} arrives", self._receive(taken, index, name, parcel))
            if (lost := self.spend(taken, "parcel lost")) is not None:
                yield Step(f"{what} is lost", lost, True)
            if (twice := self.spend(s, "parcel twice")) is not None:
                yield Step(f"{what} arrives, and will again", self._receive(twice, index, name, parcel), True)

    def _receive(self, s: State, index: int, name: str, parcel: int) -> State:
        key = (s.log, s.graves, s.gateways[index], parcel)
        if key not in self.received:
            self.received[key] = self._judged(s, index, name, parcel)
        return s._replace(gateways=_with(s.gateways, index, self.received[key]))

    def _judged(self, s: State, index: int, name: str, parcel: int) -> int:
        """Return the gateway as it is when it has taken a parcel, and judge what it makes of it."""
        life, mine, *_ = self.store.look(s.gateways[index], "state")
        gateway, (items, wrong) = self.store.call(s.gateways[index], "receive", self.parcels[parcel])
        if wrong:
            raise Broken(wrong)
        for item in items:
            if isinstance(item, Ack) and not self._is_numbered(s, item):
                raise Broken(f"acknowledged and not in the log: {item}")
        now_life, now, *_ = self.store.look(gateway, "state")
        if items or (
            now_life == life
            and now != mine
            and now is not None
            and type(self.parcels[parcel]).__name__ == "Feed"
        ):
            due = self.due(s, name, life, mine, now) if now_life == life and now is not None else []
            if list(items) != due:
                raise Broken(f"{name} is given {items} between {mine} and {now}; the log has {due}")
        if now_life > 4 + sum(self.scenario.faults.values()):
            raise Broken(f"{name} begins lives without end")
        return gateway

    def _is_numbered(self, s: State, ack: Ack) -> bool:
        return any(
            isinstance(effect, BackendEvent)
            and effect.message is not None
            and (effect.message.id, effect.message.epoch, effect.message.seq) == (ack.id, ack.epoch, ack.seq)
            for log in (s.log, *s.graves)
            for number in self.kept[log]
            for effect in self.entries[number].effects
        )

    # ── routers ──
    def start(self, log: int, first: int, number: int) -> int:
        """Return a router that has begun at what is left of the log; DOWN where it does not know
        its version.
        """
        key = (log, first, number)
        if key not in self.starts:
            kept = [self.entries[each] for each in self.kept[log]]
            retained = tuple((entry.offset, entry.record) for entry in kept if entry.offset >= first)
            knows = self.scenario.routers[number]
            router = begun(self.build, self.scenario, self.routers[number], knows, retained)
            self.starts[key] = DOWN if router is None else self.store.put(router)
        return self.starts[key]

    def _restarted(self, s: State, number: int) -> State:
        """The router reads the log from its newest checkpoint on, and knows nothing else."""
        router = self.start(s.log, s.first, number)
        reading: Reading | int = router
        if router != DOWN:
            offset = self.store.look(router, "offset")
            for each in self.kept[s.log]:
                if self.entries[each].offset == offset and self.entries[each].digest != self.store.look(
                    router, "agrees"
                ):
                    raise Broken(
                        f"{self.routers[number]} begins at {offset} with another state than the log makes"
                    )
            reading = Reading(router, s.generation, offset)
        queues = s.queues
        return s._replace(routers=_with(s.routers, number, reading), queues=queues)

    def _router(self, s: State, number: int) -> Iterator[Step]:
        reading, name = s.routers[number], self.routers[number]
        if not isinstance(reading, Reading):
            if reading == NOBODY and self.scenario.restarts:
                yield Step(f"{name} starts", self._restarted(s, number))
            return
        if (dead := self.spend(s, "router dies")) is not None:
            yield Step(f"{name} dies", dead._replace(routers=_with(s.routers, number, NOBODY)), True)
        yield from self._read(s, number, reading, name)
        yield from self._feed(s, number, reading, name)
        if self.scenario.events and not self.store.look(reading.router, "silent"):
            yield Step(f"{name} tells backends", self._told(s, number))
        router, part = self.store.call(reading.router, "write")
        if part is not None:
            after = self._with(s, number, reading, router)
            yield Step(f"{name} writes a part of its checkpoint", self.appended(after, part))
        if (marked := self.spend(s, "mark")) is not None and self.store.look(reading.router, "life"):
            yield Step(f"{name} puts a Mark", self.appended(marked, encode([Mark(name, 0)])), True)
        if (gone := self.spend(s, "gone")) is not None:
            for gateway, life in self.store.look(reading.router, "living"):
                record = encode([Gone(gateway, life, 0)])
                yield Step(f"{name} declares {gateway} gone", self.appended(gone, record), True)
        yield from self._rule(s, number, reading, name)

    def _rule(self, s: State, number: int, reading: Reading, name: str) -> Iterator[Step]:
        """The log begins a life, or goes over to a version that all know."""
        last = self.entries[s.log]
        if last.life == "" or (
            self.store.look(reading.router, "life") == ""
            and reading.offset == last.offset
            and reading.generation == s.generation
        ):
            if reading.generation == s.generation:
                life = f"l{len(s.graves) + s.log}"
                rules = Rules(life, VERSION, self.scenario.ids, 100, self.scenario.gone, 0, last.life != "")
                yield Step(f"{name} begins a life of the log", self.appended(s, encode([rules])))
            return
        knows = [self.scenario.routers[each] for each, it in enumerate(s.routers) if isinstance(it, Reading)]
        version = min(knows) if self.build.rules_wait_for_all else self.scenario.routers[number]
        present = self.store.look(reading.router, "version")
        if present and version > present and reading.offset == last.offset:
            rules = Rules(last.life, version, self.scenario.ids, 100, self.scenario.gone, 0)
            yield Step(f"{name} writes Rules of version {version}", self.appended(s, encode([rules])))

    def _read(self, s: State, number: int, reading: Reading, name: str) -> Iterator[Step]:
        if reading.generation != s.generation:  # the entry that it has read last is not there any more
            yield Step(f"{name} sees that the log is another", self._restarted(s, number))
            return
        coming = next(
            (
                each
                for each in self.kept[s.log]
                if self.entries[each].offset > max(reading.offset, s.first - 1)
            ),
            None,
        )
        if coming is None:
            return
        entry = self.entries[coming]
        jumps = entry.offset != reading.offset + 1
        if jumps and s.first > reading.offset >= 0 and self.build.jumps_are_losses:
            yield Step(f"{name} sees that it has missed something", self._restarted(s, number))
            return
        try:
            router, (effects, sent) = self.store.call(reading.router, "read", entry.offset, entry.record)
        except UnknownVersion:
            yield Step(f"{name} stands down", s._replace(routers=_with(s.routers, number, DOWN)))
            return
        if effects is not None:
            if effects != entry.effects:
                raise Broken(
                    f"{name} makes {effects} of entry {entry.offset}, a reader of all of it {entry.effects}"
                )
            if self.store.look(router, "agrees") != entry.digest:
                raise Broken(
                    f"{name} knows something else behind entry {entry.offset} than a reader of all of it"
                )
        after = s._replace(routers=_with(s.routers, number, Reading(router, s.generation, entry.offset)))
        if not self.scenario.events:
            after = self._told(after, number)
        yield Step(f"{name} reads entry {entry.offset}", self._sent(after, number, sent))

    def _feed(self, s: State, number: int, reading: Reading, name: str) -> Iterator[Step]:
        """Gateways say where they stand where they have to, and hear how far the log is where nothing else is
        under way.
        """
        now = self.store.look(reading.router, "now")
        for index, gateway in enumerate(self.names):
            if s.queues[number * len(self.names) + index]:
                continue
            life, mine, *_ = self.store.look(s.gateways[index], "state")
            has_chain = self.store.look(reading.router, "has_chain", gateway)
            if self.store.look(s.gateways[index], "asks") or (
                not has_chain and self.store.look(s.gateways[index], "begun")
            ):
                router, sent = self.store.call(reading.router, "number", Number(gateway, 0, life, mine))
                after = self._sent(self._with(s, number, reading, router), number, sent)
                yield Step(f"{gateway} tells {name} its number", after)
            if reading.offset != self.entries[s.log].offset:
                continue  # something is coming anyway
            if has_chain and now is not None and (mine is None or mine.life != now.life or mine < now):
                router, sent = self.store.call(reading.router, "idle", gateway)
                after = self._sent(self._with(s, number, reading, router), number, sent)
                yield Step(f"{name} tells {gateway} how far the log is", after)

    def _with(self, s: State, number: int, reading: Reading, router: int) -> State:
        return s._replace(routers=_with(s.routers, number, reading._replace(router=router)))

    def _sent(self, s: State, number: int, sent: tuple[tuple[str, Any], ...]) -> State:
        queues = list(s.queues)
        for name, parcel in sent:
            each = self.parcel_numbers.get(parcel)
            if each is None:
                each = self.parcel_numbers[parcel] = len(self.parcels)
                self.parcels.append(parcel)
            at = number * len(self.names) + self.names.index(name)
            queues[at] = (*queues[at], each)
        return s._replace(queues=tuple(queues))

    def _told(self, s: State, number: int) -> State:
        reading = s.routers[number]
        assert isinstance(reading, Reading)
        router, said = self.store.call(reading.router, "say")
        for ident, emit in said:
            self._check_event(s, ident, emit)
        events = s.events | {ident for ident, _ in said}
        return self._with(s, number, reading, router)._replace(events=events)

    def _check_event(self, s: State, ident: str, emit: BackendEvent) -> None:
        life, _, offset, _ = ident.split(".")
        for log in (s.log, *s.graves):
            for number in self.kept[log]:
                entry = self.entries[number]
                if entry.life == life and entry.offset == int(offset):
                    if emit not in entry.effects:
                        raise Broken(f"the event {ident} is told as {emit}")
                    return
        raise Broken(f"the event {ident} is of no entry")

    # ── the log's own faults ──
    def _log(self, s: State) -> Iterator[Step]:
        for at, record in enumerate(s.late):
            late = (*s.late[:at], *s.late[at + 1 :])
            yield Step(
                "a batch that was late is in the log", self.appended(s._replace(late=late), record), True
            )
        if (jumps := self.spend(s, "jump")) is not None:
            yield Step("the broker leaves out an offset", jumps._replace(skip=True), True)
        offset = self.entries[s.log].offset
        if offset > s.first and (dropped := self.spend(s, "dropped")) is not None:
            yield Step("the log drops all but its last entry", dropped._replace(first=offset), True)
        if (deleted := self.spend(s, "deleted")) is not None:
            graves = (*s.graves, s.log)
            after = deleted._replace(
                log=EMPTY, first=0, generation=s.generation + 1, graves=graves, skip=False
            )
            yield Step("the log is deleted and declared again", after, True)
        for name in self.names:
            if (mad := self.spend(s, "poison")) is not None:
                yield Step(f"{name} speaks for others", self.appended(mad, poison(name)), True)

    # ── all is well ──
    def well(self, s: State) -> bool:
        done = s.acts == (*map(len, self.scenario.gateways.values()), len(self.scenario.backend))
        if not done or any(s.queues):
            return False
        last = self.entries[s.log]
        readings = [reading for reading in s.routers if isinstance(reading, Reading)]
        if not readings or any(
            (each.generation, each.offset) != (s.generation, last.offset) for each in readings
        ):
            return False
        if not all(self.store.look(each.router, "silent") for each in readings):
            return False
        if last.life == "" or not self._told_all(s):
            return False
        return all(self._is_well(s, *each) for each in zip(self.names, s.gateways, strict=True))

    def _told_all(self, s: State) -> bool:
        """Every event was told; but for what was lost with the log."""
        if self.had(s, "dropped", "deleted"):
            return True
        return all(
            f"{entry.life}.0.{entry.offset}.{effect.index}" in s.events
            for entry in map(self.entries.__getitem__, self.kept[s.log])
            for effect in entry.effects
            if isinstance(effect, BackendEvent)
        )

    def _is_well(self, s: State, name: str, gateway: int) -> bool:
        if not self.store.look(gateway, "rests"):
            return False
        _, mine, standing, told, acks = self.store.look(gateway, "state")
        if mine != self.end(s.log):
            return False
        room = self.store.look(self.entries[s.log].fold, "position", ROOM)
        if standing is not None and standing != room:
            return False
        # Reads are not in this model (see reads.py): what a chain can't tell any more is taken to be lost.
        may_lose = (
            self.had(s, "gone", "dropped", "deleted", "router dies") or self.scenario.ring_bytes < LARGE
        )
        if told and not may_lose:
            return False
        said = [act[1] for act in self.scenario.gateways[name] if act[0] == "say" and act[1] in acks]
        seqs = [acks[ident].seq for ident in said if acks[ident].epoch == room.epoch]
        return seqs == sorted(seqs) or self.had(s, "deleted", "dropped", "given up")


def _with(values: tuple[Any, ...], at: int, value: Any) -> tuple[Any, ...]:
    at %= len(values)
    return (*values[:at], value, *values[at + 1 :])


def _notified(ident: str) -> bytes:
    return encode([Notified("r0", 0), Publish(ROOM, "NOTIFICATION", b"1", 0, id=ident)])
