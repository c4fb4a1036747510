"""One connection that comes back: dialling, back-off with full jitter, heartbeat, token, close codes. It
knows no rooms and no messages, and opens no socket: it says what is to be done, and is told what became of
it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from warren_client.core.clock import Clock, Timers
from warren_client.core.effects import Dial, Effect, FetchToken, HangUp, Write
from warren_client.core.outcome import Outcome
from warren_client.errors import ClosedError, ConnectError, InvalidError, WarrenError, advice_of
from warren_client.messages import State, Welcome
from warren_client.options import Options

PROTOCOL = "warren.v1"
NO_ANSWER = 4000  # the client's own close code: the server was silent
_LONGEST_MS = float(2**31 - 1)


@dataclass(frozen=True, slots=True)
class LinkOwner:
    """``do`` gets an effect; ``down`` is told that the connection is gone, with an error: for good."""

    do: Callable[[Effect], None]
    down: Callable[[WarrenError | None], None]
    state: Callable[[State], None]
    error: Callable[[WarrenError], None]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who the client is: by a fixed token, by tokens of a callback (``can_fetch``), or by name in anonymous
    mode.
    """

    token: str | None = None
    can_fetch: bool = False
    user: str | None = None


@dataclass(slots=True)
class Advice:
    """What the ERROR before a close has said."""

    reconnect: str | None = None
    error: WarrenError | None = None
    after_ms: float = 0.0


class Link:
    """``state`` is idle ▶ connecting ▶ open ▶ waiting ▶ connecting …, and closed. ``life`` counts sockets."""

    def __init__(
        self, url: str, options: Options, credentials: Credentials, clock: Clock, owner: LinkOwner
    ) -> None:
        """``url`` is the gateway's ``/ws``; http and https mean the WebSocket of the same host."""
        self._url = websocket_url(url)
        self._options = options
        self._clock = clock
        self._owner = owner
        self._timers = Timers(clock)
        self.state: State = "idle"
        self.life = 0
        self.token = credentials.token
        self.can_fetch = credentials.can_fetch
        self.user = credentials.user
        self.grant: str | None = None  # the last one that a WELCOME brought; the next connect shows it
        self.is_manual = False  # the server is to join no room for us
        self.advice = Advice()
        self.ready: Outcome[Welcome] = Outcome()
        self.last_error: WarrenError | None = None
        self._is_open = False  # there is a socket, or one is being opened
        self._tries = 0
        self._opened_at = inf
        self._heard_at = 0.0
        self._is_moving = False

    def connect(self) -> None:
        """Connect now."""
        if self.state in ("idle", "closed"):
            self._tries = 0
            self.ready = Outcome()
            self._dial()
        elif self.state == "waiting":
            self._dial()

    def close(self) -> None:
        """End it for good."""
        if self.state not in ("idle", "closed"):
            self._let_go(1000, "Bye")
            self._stop(ClosedError("the client was closed"))

    def fail(self, why: WarrenError) -> None:
        """End it for good, because of a fault."""
        if self.state != "closed":
            self._let_go(1000, "Bye")
            self._stop(why)

    def write(self, text: str) -> None:
        """Send a frame."""
        if self._is_open:
            self._owner.do(Write(self.life, text))

    # ── what became of it ───────────────────────────────────────────────────────────────────────────────────

    def has_token(self, life: int, token: str) -> bool:
        """The callback has given a token. Return whether it is to be shown on the open connection."""
        if self.state == "closed":
            return False
        self.token = token
        if life != self.life:
            return False
        if self.state == "connecting" and not self._is_open:
            self._open()
            return False
        return self.state == "open"

    def no_token(self, life: int, error: WarrenError, for_good: bool) -> None:
        """The callback has failed, or said stop."""
        if for_good:
            self.fail(error)
        elif life == self.life:
            self._owner.error(error)
            if self.state == "connecting":
                self._fail(error)

    def failed(self, life: int, error: ConnectError, after_ms: float) -> None:
        """No WebSocket could be opened. Where the server has refused it and nothing suggests that it will
        not, that is final for the first connection: the address is wrong.
        """
        if life != self.life or self.state != "connecting":
            return
        self._is_open = False
        if not error.retry and not self.ready.is_done:
            self._stop(error)
            return
        self.advice.after_ms = max(self.advice.after_ms, after_ms)
        self._fail(error)

    def heard(self) -> None:
        """Anything was received."""
        self._heard_at = self._clock.now

    def opened(self, welcome: Welcome, grant: str | None, ping: Callable[[Callable[[], None]], None]) -> None:
        """WELCOME has arrived. For each heartbeat, ``ping(sent)`` calls ``sent`` once the PING is sent."""
        self._timers.cancel("connect")
        if not self.token:
            self.user = welcome.user  # keep the name that the server generated
        self.grant = grant or self.grant
        self._opened_at = self._clock.now
        self.last_error = None
        self._become("open")
        self._beat(ping)
        self.ready.resolve(welcome)

    def lost(self, life: int, code: int, reason: str) -> None:
        """The socket is closed."""
        if life == self.life and self._is_open:
            self._lost(code, reason)

    # ── while it is open ────────────────────────────────────────────────────────────────────────────────────

    def refresh(self, expires_at: int | None) -> None:
        """Get a fresh token shortly before ``expires_at`` (ms since the Unix epoch)."""
        if expires_at and self.can_fetch:
            delay = expires_at - self._clock.wall - self._options.refresh_before * 1_000
            fetch = FetchToken(self.life, "refresh")
            self._timers.after(
                "refresh", max(1_000.0, min(delay, _LONGEST_MS)), lambda: self._owner.do(fetch)
            )

    def move(self, after_ms: float) -> None:
        """The server asks us to reconnect after ``after_ms``. It spreads these times itself, so there is no
        back-off.
        """

        def go() -> None:
            self._is_moving = True
            self._let_go(1000, "Moving")
            self._lost(1012, "Draining")

        self._timers.after("move", min(max(0.0, after_ms), _LONGEST_MS), go)

    def _beat(self, ping: Callable[[Callable[[], None]], None]) -> None:
        """Notice a dead connection: send PINGs. Anything that is received counts as an answer."""

        def sent() -> None:
            asked_at = self._clock.now

            def judge() -> None:
                if self._heard_at >= asked_at:
                    self._beat(ping)
                    return
                silent = f"nothing was received for {self._options.pong_timeout:g} s after a PING"
                self._fail(WarrenError("heartbeat_missed", silent, retry=True))

            self._timers.after("pong", self._options.pong_timeout * 1_000, judge)

        self._timers.after("ping", self._options.ping_every * 1_000, lambda: ping(sent))

    # ── dialling ────────────────────────────────────────────────────────────────────────────────────────────

    def _dial(self) -> None:
        self.life += 1
        self._timers.clear()
        self._become("connecting")
        patience = self._options.welcome_timeout
        late = ConnectError(f"no WELCOME within {patience:g} s")
        self._timers.after("connect", patience * 1_000, lambda: self._fail(late))
        if not self.token and self.can_fetch:
            self._owner.do(FetchToken(self.life, "dial"))
        else:
            self._open()

    def _open(self) -> None:
        where = self._options.token_in
        # who comes back joins all its rooms one by one, each with its position
        query = [("join", "manual")] if self.is_manual else []
        protocols = [PROTOCOL]
        if self.token and where == "query":
            query.append(("token", self.token))
        elif self.token and where == "subprotocol":
            protocols.append(f"bearer.{self.token}")
        elif not self.token and self.user:
            query.append(("user", self.user))
        if self.grant and where == "query":
            query.append(("grant", self.grant))
        elif self.grant:
            protocols.append(f"grant.{self.grant}")
        self._is_open = True
        header = self.token if where == "header" else None
        self._owner.do(Dial(self.life, with_query(self._url, query), tuple(protocols), header))

    def _fail(self, error: WarrenError) -> None:
        self._let_go(NO_ANSWER, "No answer")
        self.last_error = error
        if error.code != "unauthorized":
            self._owner.error(error)
        self._lost(1006, error.message)

    def _let_go(self, code: int, reason: str) -> None:
        """Close the socket and ignore its events: a dead one can take minutes to say that it is closed."""
        if self._is_open:
            self._owner.do(HangUp(self.life, code, reason))
        self._is_open = False
        self.life += 1

    def _lost(self, code: int, reason: str) -> None:
        if self._is_open:
            self._let_go(1000, "Bye")
        self._timers.clear()
        self._owner.down(None)
        advice, self.advice = self.advice, Advice()
        is_moving, self._is_moving = self._is_moving, False
        reconnect = "yes" if is_moving else (advice.reconnect or advice_of(code))
        if reconnect == "fresh token":
            self.token = self.grant = None  # a grant that is void must not be shown again
        words = f" ({advice.error.message})" if advice.error else ""
        text = f"the server closed the connection: {f'{code} {reason}'.strip()}{words}"
        if reconnect == "no" or (reconnect == "fresh token" and not self.can_fetch):
            why = advice.error.code if advice.error else "closed"
            self._stop(ClosedError(text, close_code=code, code=why))
            return
        if self.state == "open" or self.last_error is None:
            self.last_error = ConnectError(text)
        options = self._options
        if self._clock.now - self._opened_at >= options.stable * 1_000:
            self._tries = 0
        self._opened_at = inf  # not stable until the next WELCOME
        if options.max_tries is not None and self._tries >= options.max_tries:
            self._stop(ClosedError(f"gave up after {self._tries} attempts: {self.last_error.message}"))
            return
        most_ms = min(options.backoff_cap, options.backoff * 2 ** min(self._tries, 30)) * 1_000
        delay_ms = (
            0.0 if is_moving else min(advice.after_ms, _LONGEST_MS / 2) + self._clock.random() * most_ms
        )
        self._tries += not is_moving
        self._become("waiting")
        self._timers.after("dial", delay_ms, self._dial)

    def _stop(self, why: WarrenError) -> None:
        self._timers.clear()
        self.state = "closed"
        self.last_error = why
        self._owner.down(why)
        self.ready.reject(why)
        self._owner.state("closed")

    def _become(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._owner.state(state)


def websocket_url(url: str) -> str:
    """Return the address of a WebSocket. Raises InvalidError if it is none."""
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    try:
        parts = urlsplit(url)
    except ValueError as fault:
        raise InvalidError("invalid_url", f"url: {fault}") from fault
    if parts.scheme not in schemes or not parts.hostname:
        rule = "url: must be the gateway's address, such as wss://chat.example.org/ws"
        raise InvalidError("invalid_url", rule)
    return urlunsplit((schemes[parts.scheme], parts.netloc, parts.path or "/ws", parts.query, ""))


def with_query(url: str, more: list[tuple[str, str]]) -> str:
    """Return the address with further parameters."""
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *more])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
