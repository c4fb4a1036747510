"""Chains of feeds under any schedule: two speakers at once, both fallible, over a network that loses, doubles
and reorders all it carries.

Each gateway gets exactly its items, once, in order, or hears that it can't (Reset, LifeEnded); never silently
less.
"""

from collections import defaultdict

from hypothesis import event, given, settings
from hypothesis import strategies as st

from gateway.core.feed_positions import FeedPositions, Kind
from router.core.effects import Began, Ended, FeedItem, Marked, Ruled
from router.core.feeds import Feeds
from warren.envelope import Ack, Bodies, Deliver, Feed, LifeEnded, Reset, Rules
from warren.position import LogPosition

GATEWAYS = ("g", "h", "i")
SMALL_RING = 6 * 240
RULES = Rules("l", 1, 10, 10, 10, 0)


class World:
    """A log, its two speakers, three gateways, and what is under way to each of them."""

    def __init__(self, ring):
        self.ring = ring
        self.entries = []  # (log life, effects, living gateways after it, ended)
        self.log_life, self.living, self.over = "l0", {}, {}
        self.due = defaultdict(list)  # (gateway, its life) ▶ places of its items
        self.speakers = [self.speaker(n, 0) for n in range(2)]
        self.read = [0, 0]
        self.gateways = {name: FeedPositions(name, 0, bodies_bytes=1000) for name in GATEWAYS}
        self.under_way = {name: [] for name in GATEWAYS}
        self.got = {name: [] for name in GATEWAYS}
        self.told = dict.fromkeys(GATEWAYS, ("", -1, 0))  # up to here a Reset has said that something is lost
        for name in GATEWAYS:
            self.hello(name)

    def speaker(self, which, start):
        feeds = Feeds(f"r{which}", 0, self.ring)
        if start:
            life, _, living, over = self.entries[start - 1]
            feeds.start(life, start, living, over)
        feeds.begin()
        return feeds

    # ── the log ──
    def append(self, *effects):
        offset = len(self.entries) + 1
        for effect in effects:
            if isinstance(effect, FeedItem):
                for name in effect.gateways:
                    self.due[name, self.living[name][0]].append((self.log_life, offset, effect.index))
        self.entries.append((self.log_life, list(effects), dict(self.living), dict(self.over)))

    def items(self, masks):
        """One entry with an item for each mask: whom it is for; its number grows for the first of them."""
        offset, effects = len(self.entries) + 1, []
        for mask in masks:
            names = tuple(
                name for bit, name in enumerate(GATEWAYS) if mask >> bit & 1 and name in self.living
            )
            index = len(effects) + 1
            item = Deliver("a", self.log_life, offset, "CHAT", b"", index)
            effects.append(
                FeedItem(
                    index, names, item if len(names) > 1 else Ack("", "", str(index), self.log_life, offset)
                )
            )
            if names and index == 1:
                life, number = self.living[names[0]]
                self.living[names[0]] = (life, number + 1)
        self.append(*effects)

    def hello(self, name):
        """The gateway's present life begins in the log, and its former one ends."""
        life, effects = self.gateways[name].life, []
        if self.living.get(name, (0, 0))[0] >= life or self.over.get(name, (0, 0))[0] >= life:
            return
        if name in self.living:
            effects.append(Ended(1, name, *self.living[name]))
        self.living[name] = (life, 1)
        self.append(*effects, Began(len(effects) + 1, name, life))

    def gone(self, name):
        if name in self.living:
            life, number = self.over[name] = self.living.pop(name)
            self.append(Ended(1, name, life, number))

    def mark(self):
        self.append(Marked(1, "r0", 0))

    def new_log_life(self):
        self.log_life = f"l{len(self.entries)}"
        self.living.clear()
        self.over.clear()
        self.append(Ruled(1, RULES, True))

    # ── speakers ──
    def read_on(self, which):
        if self.read[which] < len(self.entries):
            self.read[which] += 1
            life, effects, living, over = self.entries[self.read[which] - 1]
            self.speakers[which].take(life, self.read[which], effects, living, over)

    def restart(self, which, back):
        """It begins at the last Mark that lies far enough back, else at the log's beginning."""
        upto = max(0, self.read[which] - back)
        marks = [
            at for at in range(1, upto + 1) if isinstance((self.entries[at - 1][1] or [None])[0], Marked)
        ]
        self.read[which] = marks[-1] if marks else 0
        self.speakers[which] = self.speaker(which, self.read[which])

    def speak(self, which, size, lose):
        feeds = self.speakers[which]
        while (bodies := feeds.next_bodies(size)) is not None:
            for name in GATEWAYS:
                self.under_way[name].append(bodies)
        for name in sorted(feeds.dirty()):
            feed = feeds.next(name, size)
            if feed is not None and lose:
                feeds.lost(name, feed.after)
            elif feed is not None:
                self.under_way[name].append(feed)
        self.answer(which)

    def idle(self, which):
        for name in GATEWAYS:
            feed = self.speakers[which].idle(name)
            if feed is not None:
                self.under_way[name].append(feed)
        self.answer(which)

    def ask(self, which, name):
        answer = self.speakers[which].number(self.gateways[name].number())
        if answer is not None:
            self.under_way[name].append(answer)

    def answer(self, which):
        for name, answer in self.speakers[which].answers():
            self.under_way[name].append(answer)

    # ── gateways ──
    def deliver(self, name, at, keep):
        parcels = self.under_way[name]
        if parcels:
            at %= len(parcels)
            self.receive(name, parcels[at] if keep else parcels.pop(at))

    def receive(self, name, parcel):
        positions = self.gateways[name]
        match parcel:
            case Bodies():
                positions.put(parcel)
            case Feed():
                verdict = positions.judge(parcel)
                event(verdict.kind.name)
                for item in verdict.items:
                    index = item.at_us if isinstance(item, Deliver) else int(item.id)
                    self.got[name].append((item.epoch, item.seq, index))
                assert verdict.counted <= self.counted_at(name, positions.life, positions.mine)
                if verdict.kind is Kind.FOREIGN:
                    self.next_life(name)
            case Reset():
                if positions.reset(parcel):
                    event("reset")
                    self.told[name] = (parcel.upto.life, parcel.upto.offset, parcel.upto.index)
                    self.got[name].clear()
            case LifeEnded():
                if positions.ended(parcel):
                    self.next_life(name)
        self.check(name)

    def lose(self, name, at):
        parcels = self.under_way[name]
        if parcels:
            parcels.pop(at % len(parcels))

    def busy(self, which, masks):
        """What happens most: something is said, read, sent, and arrives."""
        self.items(masks)
        self.read_on(which)
        self.speak(which, 10_000, lose=False)

    def next_life(self, name):
        event("life ended")
        positions = self.gateways[name]
        positions.begin(positions.life + 1)
        self.got[name].clear()
        self.told[name] = ("", -1, 0)
        self.hello(name)

    def counted_at(self, name, life, mine):
        """Return the number of the last batch that was taken up to this place; of an entry that is cut, it
        has not been.
        """
        if mine is None:
            return 0
        _, effects, living, over = self.entries[mine.offset - 1]
        if mine.index < (effects[-1].index if effects else 0):
            _, _, living, over = self.entries[mine.offset - 2] if mine.offset > 1 else ("", [], {}, {})
        known = living.get(name, (0, 0))
        return known[1] if known[0] == life else over.get(name, (0, 0))[1]

    def check(self, name):
        """Up to the gateway's number it has exactly what was due to its life, but for what a
        Reset spoke of.
        """
        positions = self.gateways[name]
        mine, told = positions.mine, self.told[name]
        upto = ("", -1, 0) if mine is None else (mine.life, mine.offset, mine.index)
        due = [
            place
            for place in self.due[name, positions.life]
            if place[0] == upto[0] and place[1:] <= upto[1:] and (told[0] != place[0] or place[1:] > told[1:])
        ]
        assert self.got[name] == due

    def settle(self):
        """Nothing more is lost: gateways whose number does not move ask both, until each is where
        the log is.
        """
        for parcels in self.under_way.values():
            parcels.clear()
        for _ in range(12):
            for which in range(2):
                while self.read[which] < len(self.entries):
                    self.read_on(which)
                for name in GATEWAYS:
                    self.hello(name)
                    self.ask(which, name)
                while self.speakers[which].dirty():
                    self.speak(which, 300, lose=False)
                self.idle(which)
            for name, parcels in self.under_way.items():
                while parcels:
                    self.deliver(name, 0, keep=False)
        last = self.entries[-1][1]
        end = LogPosition(self.log_life, len(self.entries), last[-1].index if last else 0)
        for positions in self.gateways.values():
            assert positions.mine == end


which, who, few = st.integers(0, 1), st.sampled_from(GATEWAYS), st.integers(0, 4)
masks = st.lists(st.integers(1, 7), min_size=1, max_size=4)
all_of_them = st.lists(st.just(7), min_size=1, max_size=3)
COMMON = (
    st.tuples(st.just("items"), masks | all_of_them),
    st.tuples(st.just("busy"), which, masks | all_of_them),
    st.tuples(st.just("read_on"), which),
    st.tuples(st.just("speak"), which, st.sampled_from((1, 400, 10_000)), st.booleans()),
    st.tuples(st.just("deliver"), who, few, st.booleans()),
    st.tuples(st.just("deliver"), who, st.just(0), st.just(False)),
    st.tuples(st.just("lose"), who, few),
    st.tuples(st.just("ask"), which, who),
)
SELDOM = st.one_of(
    st.tuples(st.just("items"), st.just([])),
    st.tuples(st.just("mark")),
    st.tuples(st.just("mark")),
    st.tuples(st.just("idle"), which),
    st.tuples(st.just("restart"), which, few),
    st.tuples(st.just("gone"), who),
    st.tuples(st.just("hello"), who),
    st.tuples(st.just("new_log_life")),
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from((SMALL_RING, 100_000)),
    st.lists(st.one_of(*COMMON, *COMMON, SELDOM), min_size=10, max_size=80),
)
def test_each_gateway_gets_exactly_its_items_or_is_told(ring, steps):
    """Whatever is cut, lost, doubled or reordered, and whoever speaks; when it has calmed down, all stand at
    the log's end.
    """
    world = World(ring)
    for which in range(2):
        while world.read[which] < len(world.entries):
            world.read_on(which)
        for name in GATEWAYS:
            world.ask(which, name)
    for step, *arguments in steps:
        getattr(world, step)(*arguments)
    world.settle()
