"""Troubles: carries a schedule out on a world. Each action is a task of its own: it begins in time, lasts,
and is undone.

It decides nothing (``schedule.py`` did). The checker runs it; what it did and when is in ``done``.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.faults.deployment import Deployment, Post
from tests.faults.participant import Participant
from tests.faults.schedule import Action, Target, Verb
from tests.support.proxy import Proxy

# A broker node that was frozen for so long has been given up by the others, and is not always one of them
# again by itself.
_GIVEN_UP_S = 6.0
_STOP_S = 15.0


@dataclass(frozen=True, slots=True)
class Done:
    """An action that was carried out. Times are monotonic seconds."""

    action: Action
    began: float
    ended: float


class FaultInjection:
    """One run of a schedule."""

    def __init__(
        self, deployment: Deployment, participants: Sequence[Participant], say: Callable[[str], None]
    ) -> None:
        """``say`` gets a line for each action as it begins."""
        self._world = deployment
        self._participants = participants
        self._say = say
        self.done: list[Done] = []
        self._broker = asyncio.Lock()
        self._do: dict[tuple[Verb, Target], Callable[[Action], Awaitable[None]]] = {
            **{
                (verb, target): do
                for target in (Target.GATEWAY, Target.ROUTER)
                for verb, do in {
                    Verb.KILL: self._kill_pod,
                    Verb.STOP: self._stop_pod,
                    Verb.PAUSE: self._pause_pod,
                    Verb.CUT: self._cut,
                    Verb.STALL: self._stall,
                    Verb.RESET: self._reset,
                }.items()
            },
            (Verb.KILL, Target.BROKER): self._kill_node,
            (Verb.STOP, Target.BROKER): self._stop_node,
            (Verb.PAUSE, Target.BROKER): self._pause_node,
            (Verb.CUT, Target.DOOR): self._cut,
            (Verb.STALL, Target.DOOR): self._stall,
            (Verb.RESET, Target.DOOR): self._reset,
            (Verb.RESET, Target.CLIENT): self._drop,
        }

    async def run(self, actions: Sequence[Action]) -> None:
        """Carry all of them out; return when the last one is undone."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for action in actions:
                tasks.create_task(self._carry_out(action, began))

    async def _carry_out(self, action: Action, began: float) -> None:
        await asyncio.sleep(max(0.0, began + action.at_s - time.monotonic()))
        if action.target is not Target.BROKER:
            await self._act(action)
            return
        # A node that is slow to come back is waited for: never are two in trouble, and none is killed in the
        # middle of its start.
        async with self._broker:
            await self._act(action)

    async def _act(self, action: Action) -> None:
        self._say(str(action))
        at = time.monotonic()
        await self._do[action.verb, action.target](action)
        self.done.append(Done(action, at, time.monotonic()))

    # ── pods ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _kill_pod(self, action: Action) -> None:
        post = self._post(action)
        post.wanted = False
        post.pod.kill()
        await asyncio.sleep(action.lasts_s)
        self._bring_back(post)

    async def _stop_pod(self, action: Action) -> None:
        post = self._post(action)
        post.wanted = False
        code = await post.pod.terminate(_STOP_S)
        if code != 0 and (code != -signal.SIGTERM or post.pod.begun):
            self._world.falls.append(f"{post.pod.name} ended with {code} when it was told to stop")
        await asyncio.sleep(action.lasts_s)
        self._bring_back(post)

    async def _pause_pod(self, action: Action) -> None:
        post = self._post(action)
        post.pod.pause()
        await asyncio.sleep(action.lasts_s)
        post.pod.resume()

    @staticmethod
    def _bring_back(post: Post) -> None:
        post.pod.launch()
        post.wanted = True

    # ── ways ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _cut(self, action: Action) -> None:
        await asyncio.gather(*(way.cut() for way in self._ways(action)))
        await asyncio.sleep(action.lasts_s)
        await asyncio.gather(*(way.restore() for way in self._ways(action)))

    async def _stall(self, action: Action) -> None:
        for way in self._ways(action):
            way.stall()
        await asyncio.sleep(action.lasts_s)
        for way in self._ways(action):
            way.slow()

    async def _reset(self, action: Action) -> None:
        for way in self._ways(action):
            way.reset()

    async def _drop(self, action: Action) -> None:
        await self._participants[action.victim].drop()

    # ── the broker ──────────────────────────────────────────────────────────────────────────────────────────

    async def _kill_node(self, action: Action) -> None:
        cluster = self._world.cluster
        assert cluster is not None
        await asyncio.to_thread(cluster.kill, action.victim)
        await asyncio.sleep(action.lasts_s)
        await asyncio.to_thread(cluster.start, action.victim)

    async def _stop_node(self, action: Action) -> None:
        cluster = self._world.cluster
        assert cluster is not None
        await asyncio.to_thread(cluster.stop, action.victim)
        await asyncio.sleep(action.lasts_s)
        await asyncio.to_thread(cluster.start, action.victim)

    async def _pause_node(self, action: Action) -> None:
        cluster = self._world.cluster
        assert cluster is not None
        cluster.pause(action.victim)
        await asyncio.sleep(action.lasts_s)
        cluster.resume(action.victim)
        if action.lasts_s > _GIVEN_UP_S and not await asyncio.to_thread(cluster.together):
            await asyncio.to_thread(cluster.restart, action.victim)

    # ── whom ────────────────────────────────────────────────────────────────────────────────────────────────

    def _post(self, action: Action) -> Post:
        return (self._world.routers if action.target is Target.ROUTER else self._world.gateways)[
            action.victim
        ]

    def _ways(self, action: Action) -> list[Proxy]:
        post = self._post(action)
        return [post.door] if action.target is Target.DOOR and post.door else post.links
