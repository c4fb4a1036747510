"""The take-over of a shard as a small explicit-state model: every interleaving, checked.

Two routers both believe that they own a shard. OLD is live under term 1; the broker has given (or will give) the queue to NEW, which takes
over under term 2 in the steps of ORDER. What may happen at any moment: the broker moves the queue while OLD goes on working (its node was
cut off and came back: its log writes and its egress still arrive, late); either router dies; the gateway answers late, or never, so that
its lease ends.

What must hold in every state: what the gateway has delivered is a prefix of the log; what a sender was told is acknowledged stands in the
log; nothing stands in the log twice. And where nothing more can happen while an owner lives, the gateway has all that the log has.

The log here is what a reader makes of the stream: an entry counts unless a marker of a later term stands before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

ORDER = ("claim", "fence", "mark", "read", "live")
MESSAGES = ("a", "b")
OLD_TERM, NEW_TERM = 1, 2

Entry = tuple[int, str]  # (term, message), or (term, "|") for a marker
Egress = tuple[int, int, str]  # (term, seq, message)


class State(NamedTuple):
    """Everything, immutable."""

    queue: tuple[str, ...] = MESSAGES  # not acknowledged to the broker, in order
    active: str = "old"  # whom the broker gives the queue to
    stream: tuple[Entry, ...] = ()
    # OLD: what it has taken (it may go on with what it has prefetched), and its writes that have not arrived
    old_alive: bool = True
    old_taken: int = 0
    old_writing: tuple[str, ...] = ()
    old_view: tuple[str, ...] = ()
    # NEW: how many steps of the order it has done; what it believes the log to be
    new_alive: bool = True
    new_step: int = 0
    new_view: tuple[str, ...] = ()
    new_taken: int = 0
    asked: bool = False
    answer: int | None = None  # the position that the gateway gave, None: none (yet)
    # the gateway
    delivered: tuple[str, ...] = ()
    fence: int = 0
    suspended: bool = False  # its own lease has ended: it takes nothing until it has announced itself
    acked: frozenset[str] = frozenset()
    egress: frozenset[Egress] = frozenset()  # on its way to the gateway, in any order


def log(stream: tuple[Entry, ...]) -> tuple[str, ...]:
    """Return the messages that count."""
    marked, counted = 0, []
    for term, message in stream:
        if message == "|":
            marked = max(marked, term)
        elif term >= marked:
            counted.append(message)
    return tuple(counted)


def successors(s: State, order: tuple[str, ...], *, self_fencing: bool) -> Iterator[tuple[str, State]]:
    """Yield every state that one event leads to, with the event's name."""
    # the broker moves the queue; OLD may not notice
    if s.active == "old" and s.new_alive:
        yield "broker moves the queue", s._replace(active="new")
    if s.old_alive:
        yield "old dies", s._replace(old_alive=False, active="new" if s.new_alive else "none")
        if s.old_taken < len(MESSAGES):
            message = MESSAGES[s.old_taken]
            yield (
                f"old takes {message}",
                s._replace(
                    old_taken=s.old_taken + 1,
                    old_writing=(*s.old_writing, message),
                    old_view=(*s.old_view, message),
                ),
            )
        # acknowledging to the broker needs the queue; OLD does it only after the egress has arrived
        if s.active == "old" and s.queue and s.queue[0] in s.delivered and s.fence <= OLD_TERM:
            yield f"old settles {s.queue[0]}", s._replace(queue=s.queue[1:])
        elif s.active == "old" and s.queue and s.fence > OLD_TERM and _left_old(s, s.queue[0]):
            # the gateway drops it, but its arrival is confirmed by the broker all the same
            yield f"old settles {s.queue[0]}", s._replace(queue=s.queue[1:])
    if s.old_writing:
        message, stream = s.old_writing[0], (*s.stream, (OLD_TERM, s.old_writing[0]))
        arrived = s._replace(old_writing=s.old_writing[1:], stream=stream)
        if s.old_alive:  # it sees the confirm and sends the egress
            arrived = arrived._replace(egress=s.egress | {(OLD_TERM, s.old_view.index(message) + 1, message)})
        yield f"old's write of {message} arrives", arrived
        if not s.old_alive:
            yield "old's writes are lost", s._replace(old_writing=())
    for parcel in s.egress:
        yield f"egress {parcel} arrives", _receive(s._replace(egress=s.egress - {parcel}), parcel)
    yield from _new_steps(s, order)
    # the gateway answers, late or never
    if s.asked and s.answer is None and not s.suspended:
        yield "gateway answers", s._replace(answer=len(s.delivered), fence=max(s.fence, NEW_TERM))
    if s.asked and s.answer is None:
        yield "gateway's lease ends", s._replace(answer=-1, suspended=self_fencing)
    if s.suspended and s.new_alive and s.new_step == len(order):
        announced = s._replace(suspended=False, fence=NEW_TERM)
        yield "gateway announces itself", announced._replace(egress=s.egress | _lacking(s.new_view, len(s.delivered)))


def _new_steps(s: State, order: tuple[str, ...]) -> Iterator[tuple[str, State]]:
    if not s.new_alive:
        return
    yield "new dies", s._replace(new_alive=False, active="none" if s.active == "new" else s.active)
    if s.new_step < len(order):
        step, done = order[s.new_step], s._replace(new_step=s.new_step + 1)
        if step == "claim" and s.active == "new":
            yield "new reads its claim", done
        elif step == "fence":
            if not s.asked:
                yield "new asks", s._replace(asked=True)
            elif s.answer is not None:
                yield "new has the answers", done
        elif step == "mark":
            yield "new writes its marker", done._replace(stream=(*s.stream, (NEW_TERM, "|")))
        elif step == "read":
            marker = (NEW_TERM, "|")
            upto = s.stream[: s.stream.index(marker)] if marker in s.stream else s.stream
            yield "new reads the log", done._replace(new_view=(*log(upto), *s.new_view))
        elif step == "live":
            lacking = frozenset() if s.answer in (None, -1) else _lacking(s.new_view, s.answer or 0)
            yield "new is live", done._replace(egress=s.egress | lacking)
    if "live" in order[: s.new_step] and s.new_taken < len(s.queue):
        message = s.queue[s.new_taken]
        taken = s._replace(new_taken=s.new_taken + 1)
        if message not in s.new_view:
            taken = taken._replace(new_view=(*s.new_view, message), stream=(*s.stream, (NEW_TERM, message)))
        seq = taken.new_view.index(message) + 1
        yield f"new handles {message}", taken._replace(egress=s.egress | {(NEW_TERM, seq, message)})


def _left_old(s: State, message: str) -> bool:
    """Say whether OLD has logged this message and its egress has left and arrived."""
    return (OLD_TERM, message) in s.stream and not any(
        parcel[0] == OLD_TERM and parcel[2] == message for parcel in s.egress
    )


def _lacking(view: tuple[str, ...], position: int) -> frozenset[Egress]:
    return frozenset((NEW_TERM, i + 1, view[i]) for i in range(position, len(view)))


def _receive(s: State, parcel: Egress) -> State:
    """The gateway: drops older terms, repeats, and what leaves a gap (it is sent again); the sender is told with the delivery."""
    term, seq, message = parcel
    if s.suspended or term < s.fence:
        return s
    if seq == len(s.delivered) + 1:
        return s._replace(delivered=(*s.delivered, message), acked=s.acked | {message})
    if seq > len(s.delivered) + 1:  # a gap: it asks again, and the same comes later
        return s._replace(egress=s.egress | {parcel})
    return s._replace(acked=s.acked | {message}) if message in s.delivered else s


def fault(s: State) -> str | None:
    """Name what is wrong in this state, if anything is."""
    counted = log(s.stream)
    if len(set(counted)) != len(counted):
        return f"twice in the log: {counted}"
    if s.delivered != counted[: len(s.delivered)]:
        return f"delivered {s.delivered}, the log has {counted}"
    if not s.acked <= set(counted):
        return f"acknowledged and not in the log: {s.acked - set(counted)}"
    return None


def stuck(s: State) -> str | None:
    """Name what is missing in a state where nothing but a death can happen any more, while the broker's owner lives."""
    owner = (
        s.old_alive if s.active == "old" else s.new_alive and s.new_step == len(ORDER) if s.active == "new" else False
    )
    if not owner or s.egress or s.suspended:
        return None
    counted = log(s.stream)
    if s.delivered != counted or (set(s.queue) - set(counted)):
        return f"the gateway has {s.delivered}, the log {counted}, the queue {s.queue}"
    return None


def search(order: tuple[str, ...] = ORDER, *, self_fencing: bool = True) -> tuple[int, list[str] | None]:
    """Visit every reachable state. Return how many there are, and the shortest story that ends in a fault (None: there is none)."""
    first = State()
    came: dict[State, tuple[State, str] | None] = {first: None}
    todo = deque([first])
    while todo:
        state = todo.popleft()
        wrong = fault(state)
        following = [] if wrong else list(successors(state, order, self_fencing=self_fencing))
        if wrong is None and all(
            "dies" in event or "moves the queue" in event or following_state == state
            for event, following_state in following
        ):
            wrong = stuck(state)
        if wrong is not None:
            story = [wrong]
            here = state
            while (link := came[here]) is not None:
                here, event = link
                story.append(event)
            return len(came), story[::-1]
        for event, following_state in following:
            if following_state not in came:
                came[following_state] = (state, event)
                todo.append(following_state)
    return len(came), None
