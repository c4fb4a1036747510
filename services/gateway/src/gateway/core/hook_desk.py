"""HookDesk: what becomes of each question that a connection has about itself: a grant or an earlier answer
settles it, else a backend is asked.

The same question is out once, however many connections have it. No user has more than a few questions open
here, and what one backend is asked at a time is bounded by count and bytes, so nobody takes the places of
others, and no backend those of another. Whatever goes wrong, each question is answered once: closed by
default, with when to come again. Inputs go in, steps come out. It knows no broker; the time is an argument,
monotonic (``now``) and seconds since the Unix epoch (``now_s``).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal

import msgspec

from gateway.core import hook_messages
from gateway.core.grants import ConnectGrant, Grant, GrantKeys, Holder, is_void
from gateway.core.hook_cache import HookCache, Kept, Key
from gateway.core.hook_messages import Hook, HookAnswer, HookQuery, InvalidAnswer
from gateway.core.hook_queue import HookQueue
from warren.errors import ErrorCode

# Questions that one user may have open, over all connections of a gateway.
USER_OPEN_MAX: Final = 64
# What the questions that one backend is asked at a time may take. A single one may be larger.
OUT_BYTES_MAX: Final = 8 * 1024 * 1024
# When it is worth coming again, where nobody says.
RETRY_MS: Final = 1_000
# And where a question has waited in vain until it was given up: so many wait before it.
RETRY_LATE_MS: Final = 5_000

Source = Literal["grant", "cache", "backend"]
Failure = Literal["timeout", "no_service", "unavailable", "overloaded", "invalid"]


class Allowed(msgspec.Struct, frozen=True):
    """The client may. ``grant`` (empty: none) is what it may show next time; ``until_s`` is to when it may,
    where that is said, and ``given_s`` when a backend said so: seconds since the Unix epoch. ``too_long``:
    there is no grant, since it would hold too much.
    """

    answer: HookAnswer
    grant: str = ""
    until_s: int = 0
    source: Source = "backend"
    given_s: int = 0
    too_long: bool = False


class Denied(msgspec.Struct, frozen=True):
    """The client may not; ``reason`` is the backend's, for the client."""

    reason: str
    source: Source = "backend"


class Undecided(msgspec.Struct, frozen=True):
    """Nobody could be asked: it is worth trying again in ``retry_after_ms``."""

    failure: Failure
    retry_after_ms: int

    @property
    def code(self) -> ErrorCode:
        """What the client is told."""
        return ErrorCode.OVERLOADED if self.failure == "overloaded" else ErrorCode.UNAVAILABLE


Verdict = Allowed | Denied | Undecided


class Waiter(msgspec.Struct, frozen=True):
    """Who wants to know: a connection, and its own number for the question. ``name``: of a client without a
    token that wants to connect; its grant is for this name.
    """

    conn: str
    ticket: int
    name: str = ""


class Ask(msgspec.Struct, frozen=True):
    """Ask the backend of this hook and namespace; what comes of it is ``answered`` or ``failed``. ``caller``
    is the user, or a connection without one: whose place this takes.
    """

    number: int
    hook: Hook
    namespace: str
    caller: str
    body: bytes


class Tell(msgspec.Struct, frozen=True):
    """Tell these how their question was decided."""

    waiters: tuple[Waiter, ...]
    query: HookQuery
    verdict: Verdict


Step = Ask | Tell

# Which backend: a hook, and a namespace.
_Backend = tuple[Hook, str]


class _Question:
    """One that is open."""

    __slots__ = ("backend", "fresh", "kept_under", "key", "query", "size", "user", "waiters")

    def __init__(self, query: HookQuery, key: Key | None, kept_under: Key, user: str) -> None:
        self.query = query
        self.key = key  # who has the same one joins it; None: nobody can
        self.kept_under = kept_under
        self.user = user  # whose place it takes
        self.waiters: list[Waiter] = []
        self.size = 0  # of its body, while it is out
        self.backend: _Backend = (query.hook, query.namespace)
        self.fresh = True  # False: what the backend says may be older than a revocation


class HookDesk:
    """A gateway's."""

    def __init__(
        self, keys: GrantKeys, timeout_s: float, payload_bytes: int, cache: HookCache | None = None
    ) -> None:
        """A backend has ``timeout_s`` to answer, and may change a payload to one of ``payload_bytes``."""
        self._keys = keys
        self._timeout_s = timeout_s
        self._payload_bytes = payload_bytes
        self.cache = HookCache() if cache is None else cache
        self._questions: dict[int, _Question] = {}
        self._by_key: dict[Key, int] = {}
        self._by_user: dict[str, set[int]] = {}
        self._by_conn: dict[str, set[int]] = {}
        self._queues: dict[_Backend, HookQueue] = {}
        self._number = 0
        self._out_bytes: dict[_Backend, int] = {}

    def __len__(self) -> int:
        """Return how many questions are open."""
        return len(self._questions)

    @property
    def out(self) -> int:
        """How many of them backends are being asked."""
        return sum(queue.out for queue in self._queues.values())

    # ── questions ───────────────────────────────────────────────────────────────────────────────────────────

    def consult(self, query: HookQuery, waiter: Waiter, now: float, now_s: float) -> list[Step]:
        """Have a question decided; its answer may be among the steps already."""
        key = Key(query.hook, query.user, query.room, _seen(query))
        verdict = self._granted(query, key, now_s) or self._kept(query, key, now)
        if verdict is not None:
            return [Tell((waiter,), query, verdict)]
        known = self._by_key.get(key) if query.message is None else None
        if known is not None:
            self._wait(known, waiter)
            return []
        user = query.user or query.connection
        own = self._by_user.get(user, ())
        question = _Question(query, key if query.message is None else None, key, user)
        queue = self._queues.get(question.backend)
        if queue is None:
            queue = self._queues[question.backend] = HookQueue(self._timeout_s)
        self._number += 1
        if len(own) >= USER_OPEN_MAX or not queue.offer(self._number, user, now):
            return [Tell((waiter,), query, Undecided("overloaded", RETRY_MS))]
        self._questions[self._number] = question
        self._wait(self._number, waiter)
        self._by_user.setdefault(user, set()).add(self._number)
        if question.key is not None:
            self._by_key[question.key] = self._number
        return self._asked(question.backend, queue, now)

    def gone(self, conn: str) -> None:
        """Forget what a connection that has ended wanted to know; what is out already stays, since its answer
        is good for others.
        """
        for number in self._by_conn.pop(conn, ()):
            question = self._questions[number]
            question.waiters = [waiter for waiter in question.waiters if waiter.conn != conn]
            if not question.waiters and not question.size:
                self._queues[question.backend].drop(number)
                self._close(number, question)

    def revoked(self, user: str) -> None:
        """Let nothing count that a backend has said of a user, or is about to say."""
        self.cache.forget(user)
        for number in self._by_user.get(user, ()):
            question = self._questions[number]
            question.fresh = False
            if question.key is not None and self._by_key.get(question.key) == number:
                del self._by_key[question.key]

    # ── what backends say ───────────────────────────────────────────────────────────────────────────────────

    def answered(self, number: int, body: bytes, now: float, now_s: float) -> list[Step]:
        """A backend has answered a question; one that is not open (a second answer, a late one) changes
        nothing.
        """
        question = self._questions.get(number)
        if question is None:
            return []
        query = question.query
        queue = self._queues[question.backend]
        try:
            answer = hook_messages.read(body, query.hook, self._payload_bytes)
        except InvalidAnswer:
            # It was quick, whatever it was: no reason to ask less at a time.
            queue.answered(number, now)
            undecided = Undecided("invalid", RETRY_MS)
            return self._settled(number, question, [Tell(tuple(question.waiters), query, undecided)], now)
        queue.answered(number, now)
        if question.fresh and (query.message is None or answer.ttl_s):
            # A payload that was changed is this one message's.
            kept = msgspec.structs.replace(answer, payload=None, binary=False)
            self.cache.put(question.kept_under, kept, now, int(now_s))
        by_name: dict[str, list[Waiter]] = {}  # whose grants differ
        for waiter in question.waiters:
            by_name.setdefault(waiter.name, []).append(waiter)
        seen, given_s = question.kept_under.seen, int(now_s)
        tells = [
            Tell(
                tuple(waiters),
                query,
                self._verdict(answer, given_s, query, seen, "backend", name, fresh=question.fresh),
            )
            for name, waiters in (by_name or {"": []}).items()
        ]
        return self._settled(number, question, tells, now)

    def failed(self, number: int, failure: Failure, retry_after_ms: int, now: float) -> list[Step]:
        """A backend has not answered. ``retry_after_ms`` other than 0: it is not asked before, so whoever
        waits is told the same.
        """
        question = self._questions.get(number)
        if question is None:
            return []
        queue = self._queues[question.backend]
        queue.failed(number, now)
        verdict = Undecided(failure, retry_after_ms or RETRY_MS)
        steps: list[Step] = []
        if retry_after_ms:
            for waiting in queue.drain():
                other = self._questions[waiting]
                self._close(waiting, other)
                steps.append(Tell(tuple(other.waiters), other.query, verdict))
        tell = Tell(tuple(question.waiters), question.query, verdict)
        return [*steps, *self._settled(number, question, [tell], now)]

    def _settled(self, number: int, question: _Question, tells: list[Tell], now: float) -> list[Step]:
        """Tell what was decided, and go on with what waits for the same backend."""
        self._close(number, question)
        steps: list[Step] = [*tells]
        queue = self._queues[question.backend]
        for late in queue.late(now):
            other = self._questions[late]
            self._close(late, other)
            steps.append(Tell(tuple(other.waiters), other.query, Undecided("overloaded", RETRY_LATE_MS)))
        return [*steps, *self._asked(question.backend, queue, now)]

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────

    def _granted(self, query: HookQuery, key: Key, now_s: float) -> Verdict | None:
        """Return what the grant says that the client has shown; None: it says nothing."""
        if query.hook == "publish" or not query.grant:
            return None
        grant: Grant | ConnectGrant | None
        if query.hook == "join":
            grant = self._keys.check(query.grant, query.user, query.room, now_s)
        else:
            grant = self._keys.check_connect(query.grant, _holder(query, key.seen, query.anonymous), now_s)
        if grant is None or is_void(grant.epoch, query.void_s):
            return None
        return Allowed(HookAnswer.of(grant), "", grant.until, "grant", grant.epoch)

    def _kept(self, query: HookQuery, key: Key, now: float) -> Verdict | None:
        kept: Kept | None = self.cache.get(key, now)
        if kept is None or (kept.answer.allow and is_void(kept.given_s, query.void_s)):
            return None
        name = query.anonymous
        return self._verdict(kept.answer, kept.given_s, query, key.seen, "cache", name, fresh=True)

    def _verdict(
        self,
        answer: HookAnswer,
        given_s: int,
        query: HookQuery,
        seen: bytes,
        source: Source,
        name: str,
        *,
        fresh: bool,
    ) -> Verdict:
        """Return what an answer comes to; ``name`` is that of an anonymous client that wants to connect."""
        if not answer.allow:
            return Denied(answer.reason, source)
        until_s = given_s + answer.ttl_s if answer.ttl_s and fresh else 0
        signed, too_long = "", False
        if until_s and query.hook == "join":
            join = Grant(given_s, until_s, answer.publish, answer.info)
            signed = self._keys.sign(join, query.user, query.room)
        elif until_s and query.hook == "connect":
            grant = ConnectGrant(given_s, until_s, answer.user, answer.rooms, answer.info)
            # An anonymous client comes back by the name that WELCOME tells it.
            signed = self._keys.sign_connect(grant, _holder(query, seen, name and (answer.user or name)))
            too_long = bool(self._keys) and not signed
        return Allowed(answer, signed, until_s, source, given_s, too_long)

    def _asked(self, backend: _Backend, queue: HookQueue, now: float) -> list[Step]:
        """Return what a backend is to be asked now."""
        steps: list[Step] = []
        while self._out_bytes.get(backend, 0) < OUT_BYTES_MAX and (number := queue.next(now)) is not None:
            question = self._questions[number]
            body = hook_messages.spell(question.query)
            question.size = len(body)
            self._out_bytes[backend] = self._out_bytes.get(backend, 0) + question.size
            steps.append(Ask(number, *backend, question.user, body))
        return steps

    def _wait(self, number: int, waiter: Waiter) -> None:
        self._questions[number].waiters.append(waiter)
        self._by_conn.setdefault(waiter.conn, set()).add(number)

    def _close(self, number: int, question: _Question) -> None:
        del self._questions[number]
        if question.size:
            self._out_bytes[question.backend] -= question.size
        for conn in {waiter.conn for waiter in question.waiters}:
            of_conn = self._by_conn[conn]
            of_conn.discard(number)
            if not of_conn:
                del self._by_conn[conn]
        own = self._by_user[question.user]
        own.discard(number)
        if not own:
            del self._by_user[question.user]
        if question.key is not None and self._by_key.get(question.key) == number:
            del self._by_key[question.key]


def _holder(query: HookQuery, seen: bytes, name: str) -> Holder:
    """Return whose grant this is; ``name``: that of an anonymous client."""
    return Holder(name or query.user, bool(name), seen)


def _seen(query: HookQuery) -> bytes:
    """Return what stands for the claims and headers that the backend is shown: who shows others asks anew."""
    if not (query.claims or query.headers):
        return b""
    return blake2b(msgspec.msgpack.encode((query.claims, query.headers)), digest_size=16).digest()
