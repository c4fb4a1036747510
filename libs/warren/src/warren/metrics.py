"""Metrics: every metric name, and objects whose methods count.

Each service instance has its own registry, so that several live in one process. Label values are bounded:
message types are the predefined ones or ``other``, and each other label takes at most 64 values. Methods are
cheap (what is counted on a message's path is plain numbers, see ``instruments.py``) and never raise. They are
for the event loop's thread alone. Core code never calls them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.exposition import choose_encoder

from warren.instruments import Counter, LabelledCounter, LabelledHistogram
from warren.recent_lag import RecentLag

PREDEFINED_TYPES = frozenset(
    {
        "CHAT",
        "TYPING",
        "NOTIFICATION",
        "DATA_UPDATE",
        "PING",
        "PONG",
        "JOIN",
        "JOINED",
        "LEAVE",
        "LEFT",
        "AUTH",
    }
    | {"AUTHENTICATED", "WELCOME", "ACK", "ERROR", "PRESENCE", "HISTORY", "REQUEST", "RESPONSE", "RECONNECT"}
    | {"DEGRADED", "RESTORED", "DROPPED", "ACCEPTED", "CANCEL"}
)
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def render(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """Return the exposition of a registry and its content type: OpenMetrics, which alone has the exemplars,
    where the scraper's ``Accept`` header asks for it, else Prometheus's own text.
    """
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is none
        encode, content_type = choose_encoder("")
    return encode(registry), content_type


class _Metrics:
    """What both services have."""

    _service: str

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Use an own registry unless one is given."""
        self.registry = registry if registry is not None else CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.bus_up = self._gauge("bus_up", "1 while the broker can be published to, else 0.")
        self.bus_blocked = self._gauge(
            "bus_blocked", "1 while the broker holds back what is published (a memory or disk alarm), else 0."
        )
        self._waiting = self._gauge("waiting", "Items that wait in a bounded buffer.", "buffer")
        self._waiting_seen: dict[str, Gauge] = {}
        self._batch = self._histogram("batch_size", "Messages in one batch.", COUNTS)
        self._hop = self._histogram("hop_seconds", "Seconds that a message took over one hop.", SECONDS)
        self.lag = RecentLag()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its content type, for ``/metrics``; ``accept`` is what the scraper says
        that it takes.
        """
        return render(self.registry, accept)

    def waiting(self, buffer: str, count: int) -> None:
        """Say how many items wait in a buffer now (``buffer`` names a kind, never one room's or one
        client's).
        """
        gauge = self._waiting_seen.get(buffer)
        if gauge is None:
            gauge = self._waiting_seen[buffer] = self._waiting.labels(buffer)
        gauge.set(count)

    def waiting_from(self, buffer: str, read: Callable[[], float]) -> None:
        """Ask ``read`` at each scrape how many items wait in a buffer; cheaper than telling each change."""
        self._waiting.labels(buffer).set_function(read)

    def batch_size(self, hop: str, count: int) -> None:
        """Count a batch of ``count`` messages that went over a hop."""
        self._batch.observe(hop, count)

    def hop_seconds(self, hop: str, seconds: float, trace: str = "") -> None:
        """Count the time that a message took over a hop; clocks of two machines may differ, so less than 0
        counts as 0. ``trace`` is the trace id of a sampled message ("" for others), which a dashboard leads
        to.
        """
        self._hop.observe(hop, seconds if seconds > 0.0 else 0.0, trace)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"warren_{self._service}_{name}", meaning, labels, registry=self.registry)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(f"warren_{self._service}_{name}", meaning, self.registry)

    def _counts(
        self, name: str, label: str, meaning: str, allowed: frozenset[str] | None = None
    ) -> LabelledCounter:
        return LabelledCounter(f"warren_{self._service}_{name}", meaning, label, self.registry, allowed)

    def _histogram(self, name: str, meaning: str, bounds: tuple[float, ...]) -> LabelledHistogram:
        return LabelledHistogram(f"warren_{self._service}_{name}", meaning, "hop", bounds, self.registry)


class GatewayMetrics(_Metrics):
    """A gateway's. ``total_…`` are plain numbers since the start, for ``/websocket-stats`` and heartbeats."""

    _service = "gateway"

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Use an own registry unless one is given."""
        super().__init__(registry)
        self.connections = self._gauge("connections", "Open client connections.")
        self._event_streams = self._gauge("event_streams", "Those of them that are event streams (/sse).")
        self._posts = self._counts("posts", "status", "Requests to /publish, by the status of the answer.")
        self.connection_limit = self._gauge(
            "connection_limit", "Connections that this gateway takes at most."
        )
        self.rooms = self._gauge("rooms", "Rooms with a member here.")
        self._in = self._counts("messages_in", "type", "Messages from clients.", PREDEFINED_TYPES)
        self._out = self._counts(
            "messages_out", "type", "Messages written to clients, one for each recipient.", PREDEFINED_TYPES
        )
        self._bytes_in = self._counter("bytes_in", "Bytes of messages from clients.")
        self._bytes_out = self._counter("bytes_out", "Bytes of frames to clients.")
        self._errors = self._counts("errors", "code", "ERROR frames sent to clients.")
        self._closes = self._counts("closes", "code", "Connections that ended, by close code.")
        self._drops = self._counts("drops", "reason", "Messages not delivered to a recipient.")
        self._auth_failures = self._counts("auth_failures", "reason", "Tokens that did not hold.")
        self._refused = self._counts("upgrades_refused", "reason", "Connections refused at the upgrade.")
        self._heartbeats_missed = self._counter("heartbeats_missed", "Connections ended for want of a pong.")
        self._slow = self._counter("slow_disconnects", "Connections ended because they read too slowly.")
        self._reads = self._counts(
            "reads",
            "source",
            "Times that what a member lacks, or a HISTORY, was had from memory, or asked of the routers.",
        )
        self._calls = self._counts("calls", "outcome", "REQUESTs of clients, by what came of them.")
        self._feed_gaps = self._counter("feed_gaps", "Feeds that came behind something that has not come.")
        self._resets = self._counter(
            "resets", "Times that a part of a shard's feeds was not to be had any more."
        )
        self._lives_ended = self._counter(
            "lives_ended", "Times that this gateway had to begin anew on a shard, with all its members there."
        )
        self._hooks = self._counts(
            "hooks", "decision", "Times that a backend was to decide what a client may, by what came of it."
        )
        self._hook_sources = self._counts(
            "hook_sources",
            "source",
            "Those that were decided: by a backend, an answer of before, or a grant.",
        )
        self._buffer_bytes = self._gauge(
            "buffer_bytes",
            "Bytes that connections hold, by what they are of; windows, which compressed messages build "
            "on, are outside of the limit.",
            "of",
        )
        self.buffer_limit = self._gauge("buffer_limit_bytes", "Bytes that all connections may hold together.")
        self._buffer_closes = self._counts(
            "buffer_closes",
            "of",
            "Connections ended because all together held too much, by whose or what it was.",
        )
        self.total_in = self.total_out = self.total_errors = 0

    def messages_in(self, type: str, size: int = 0) -> None:  # noqa: A002 - the protocol's own word
        """Count a message of ``size`` bytes from a client."""
        self.total_in += 1
        self._in.add(type)
        self._bytes_in.add(size)

    def messages_out(self, type: str, count: int = 1, size: int = 0) -> None:  # noqa: A002
        """Count a message that was written to ``count`` recipients, ``size`` bytes in all."""
        self.total_out += count
        self._out.add(type, count)
        self._bytes_out.add(size)

    def bytes_in(self, count: int) -> None:
        """Count bytes that came outside of messages."""
        self._bytes_in.add(count)

    def bytes_out(self, count: int) -> None:
        """Count bytes that went outside of ``messages_out``."""
        self._bytes_out.add(count)

    def errors(self, code: str) -> None:
        """Count an ERROR frame."""
        self.total_errors += 1
        self._errors.add(code)

    def closes(self, code: int) -> None:
        """Count a connection that ended."""
        self._closes.add(str(int(code)))

    def drops(self, reason: str, count: int = 1) -> None:
        """Count messages that a recipient did not get."""
        self._drops.add(reason, count)

    def auth_failures(self, reason: str) -> None:
        """Count a token that did not hold; ``reason`` is one of a few words, never the token or its text."""
        self._auth_failures.add(reason)

    def upgrades_refused(self, reason: str) -> None:
        """Count a connection refused at the upgrade."""
        self._refused.add(reason)

    def event_streams_from(self, read: Callable[[], float]) -> None:
        """Ask ``read`` at each scrape how many event streams there are."""
        self._event_streams.set_function(read)

    def posts(self, status: int) -> None:
        """Count a request to ``/publish``."""
        self._posts.add(str(int(status)))

    def heartbeats_missed(self) -> None:
        """Count a connection that gave no pong."""
        self._heartbeats_missed.add()

    def slow_disconnects(self) -> None:
        """Count a connection that read too slowly."""
        self._slow.add()

    def buffer_bytes_from(self, of: str, read: Callable[[], float]) -> None:
        """Ask ``read`` at each scrape how many bytes connections hold of a kind."""
        self._buffer_bytes.labels(of).set_function(read)

    def buffer_closes(self, of: str) -> None:
        """Count a connection that was ended because all together held too much."""
        self._buffer_closes.add(of)

    def reads(self, source: Literal["memory", "routers"]) -> None:
        """Count that what was said before in a room was had from memory, or asked of the routers."""
        self._reads.add(source)

    def calls(self, outcome: str) -> None:
        """Count a client's REQUEST that is over: answered, accepted, or the code of its ERROR."""
        self._calls.add(outcome)

    def hooks(self, decision: str, source: str, count: int = 1) -> None:
        """Count what was decided about clients, by whom; or that nobody could."""
        self._hooks.add(decision, count)
        if decision in ("allowed", "denied"):
            self._hook_sources.add(source, count)

    def feed_gaps(self) -> None:
        """Count a feed that came too early."""
        self._feed_gaps.add()

    def resets(self) -> None:
        """Count a part of a shard's feeds that was lost for good."""
        self._resets.add()

    def lives_ended(self) -> None:
        """Count a life on a shard that was over."""
        self._lives_ended.add()


class RouterMetrics(_Metrics):
    """A router's."""

    _service = "router"

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Use an own registry unless one is given."""
        super().__init__(registry)
        self.rooms = self._gauge("rooms", "Rooms known to the shards that this router speaks for.")
        self.members = self._gauge("members", "Members of those rooms.")
        self.gateways = self._gauge("gateways", "Gateways that live.")
        self.uplink_bytes = self._gauge(
            "uplink_bytes",
            "Bytes of one shard that all gateways together may write before a router has counted them.",
        )
        self.log_kept_bytes = self._gauge("log_kept_bytes", "Bytes that one shard's log keeps at least.")
        self.shards_active = self._gauge("shards_active", "Shards that this router speaks for.")
        self._messages = self._counts("messages", "kind", "Envelopes handled, by kind.")
        self._delivered = self._counts(
            "delivered", "to", "Copies of messages sent to gateways: one gateway, or all by the fanout."
        )
        self._duplicates = self._counter("duplicates", "Messages that had been counted before.")
        self._rejected = self._counts("rejected", "reason", "Envelopes refused or set aside.")
        self._notifications = self._counter("notifications", "Notifications of backends taken in.")
        self._dead = self._counts("dead", "reason", "Messages set aside in a dead-letter queue.")
        self._takeovers = self._counter("takeovers", "Shards taken over.")
        self.presence_connections = self._gauge(
            "presence_connections",
            "Members of whom the presence of rooms tells, in the shards that this router speaks for.",
        )
        self.presence_watchers = self._gauge(
            "presence_watchers", "Connections that watch the presence of a room, each room counted."
        )
        self._presence = self._counts(
            "presence", "kind", "What gateways were told of the presence in rooms: diffs, and pages."
        )
        self._commands = self._counts("commands", "verb", "Commands of backends, by AMQP and by HTTP.")
        self._command_problems = self._counts(
            "command_problems", "code", "Commands of backends that were not done, by the code of the problem."
        )

    def messages(self, kind: str, count: int = 1) -> None:
        """Count envelopes handled."""
        self._messages.add(kind, count)

    def delivered(self, to: Literal["one", "all"], count: int = 1) -> None:
        """Count copies sent to gateways."""
        self._delivered.add(to, count)

    def duplicates(self, count: int = 1) -> None:
        """Count repeats."""
        self._duplicates.add(count)

    def rejected(self, reason: str, count: int = 1) -> None:
        """Count what was refused."""
        self._rejected.add(reason, count)

    def notifications(self, count: int = 1) -> None:
        """Count what backends sent."""
        self._notifications.add(count)

    def dead(self, reason: str, count: int = 1) -> None:
        """Count what was set aside in a dead-letter queue."""
        self._dead.add(reason, count)

    def presence(self, kind: Literal["diff", "page"], count: int = 1) -> None:
        """Count what gateways were told of presence."""
        self._presence.add(kind, count)

    def takeovers(self) -> None:
        """Count a shard that was taken over."""
        self._takeovers.add()

    def commands(self, verb: str) -> None:
        """Count a backend's command."""
        self._commands.add(verb)

    def command_problems(self, code: str) -> None:
        """Count a command that was not done."""
        self._command_problems.add(code)
