"""Installation: takes samples of the whole installation's figures, and answers what operators ask about it.

It asks nobody: all is known from heartbeats (``core/installation_figures.py``). So an answer costs the broker
nothing, however many look at once. It decides nothing.
"""

from __future__ import annotations

from typing import assert_never

from router.core.control import cursor, cursor_of
from router.core.control_problems import Problem, invalid
from router.core.installation_figures import Broker, InstallationFigures, Moment
from router.core.message_rates import MessageRates
from router.core.peers import Peers
from router.core.samples import Samples
from router.shell.router_context import RouterContext
from warren.contract import installation as asked
from warren.contract.problem import Fault

_NO_CURSOR = invalid([Fault("/cursor", "is none that was given out")])


class Installation:
    """What one router knows of the whole."""

    def __init__(self, context: RouterContext, peers: Peers) -> None:
        """No sample was taken yet."""
        self._context = context
        self._peers = peers
        self._rates = MessageRates()
        self._samples = Samples()

    def tick(self) -> None:
        """Take a sample where one is due. To be called several times a second.

        Who has just begun to listen has not heard everyone yet, and takes none: it would show an installation
        that shrinks and grows again.
        """
        at_ms = self._samples.due(self._context.clock.wall_us() // 1_000)
        if not at_ms:
            return
        self._rates.look(self._peers.gateways)
        if self._peers.heard_every_gateway(self._context.clock.monotonic()):
            self._samples.take(self._figures().sample(at_ms))
        else:
            self._samples.skip(at_ms)

    def answer(self, body: asked.Asked) -> asked.Told | Problem:
        """Return what was asked for."""
        match body:
            case asked.Overview():
                return self._figures().overview()
            case asked.Samples():
                return self._samples.after(body.after)
            case asked.Gateways():
                after = cursor_of(body.cursor)
                if after is None:
                    return _NO_CURSOR
                gateways, last = self._figures().gateways(body.limit, after)
                return asked.GatewaysPage(gateways=gateways, next=cursor(last))
            case asked.ShardList():
                after = cursor_of(body.cursor)
                if after is None or not (after or "0").isdecimal() or len(after) > 9:
                    return _NO_CURSOR
                shards, last = self._figures().shards(body.limit, int(after or -1))
                return asked.ShardsPage(shards=shards, next=cursor(last))
            case _:
                assert_never(body)

    def _figures(self) -> InstallationFigures:
        context = self._context
        bus, clock = context.bus, context.clock
        broker: Broker = "away" if not bus.up else "blocked" if bus.blocked else "up"
        return InstallationFigures(
            context.id,
            context.topology.shards,
            self._peers,
            self._rates,
            Moment(clock.monotonic(), clock.wall_us(), broker),
        )
