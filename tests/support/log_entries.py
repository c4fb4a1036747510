"""Entries of a shard's log as gateways and routers write them, and some that nobody should, made at random
and small enough to collide.

``python -m tests.support.log_entries FILE`` reads records from FILE (written by ``write``) and prints what a
fold makes of them: each entry's outcomes and the digest of the state after it, then the bodies of the last
state. A test runs it in processes that differ in all that must not matter.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import msgspec

from router.core.fold import Fold
from warren import envelope as wire
from warren.position import Position

AT_US = 1_764_000_000_000_000
ROOMS = ("a", "b", "c", "d", "e", "f", "@ann", "@bob")
ADDRESSES = (*ROOMS, "*", "g1~1", "g2~9", "no room")
GATEWAYS = ("g1", "g2", "g3")
IDS = ("", "1", "2", "3", "4", "5", "~1", "~2", "~3")
VERBS = ("disconnect", "block", "unblock", "revoke", "remove", "add", "explode")
TOKENS = ("", "t1", "t2")


class Entries:
    """A source of entries. It remembers what it has said for a gateway, so that most of its batches count."""

    def __init__(self, chance: Random) -> None:
        """``chance`` decides all."""
        self._chance = chance
        self._lives = dict.fromkeys(GATEWAYS, 0)
        self._numbers = dict.fromkeys(GATEWAYS, 0)
        self._version = 1  # of the fold, which never goes down
        self._ticks = 0  # of the log's time

    def _now(self) -> int:
        """Return a time that mostly grows."""
        self._ticks += self._chance.randint(0, 2)
        return AT_US + 1_000 * (self._ticks + self._chance.randint(-3, 0))

    def rules(self) -> list[wire.Envelope]:
        """Return tight bounds, mostly of the same life."""
        chance = self._chance
        life = "two" if chance.random() < 0.02 else "one"
        bounds = (chance.randint(1, 5), chance.randint(0, 4), chance.randint(0, 2))
        self._version = max(self._version, chance.choice((1, 1, 2)))
        return [wire.Rules(life, self._version, *bounds, AT_US, anew=chance.random() < 0.5)]

    def next(self) -> bytes:
        """Return one record."""
        chance = self._chance
        kinds = {"batch": 80, "notified": 10, "command": 20, "gone": 4}
        kinds |= {"rules": 2, "mark": 2, "part": 2, "poison": 2}
        kind = chance.choices(list(kinds), list(kinds.values()))[0]
        gateway = chance.choice(GATEWAYS)
        match kind:
            case "batch":
                return wire.encode(self._batch(gateway))
            case "notified":
                messages = [self._publish("") for _ in range(chance.randint(0, 3))]
                return wire.encode([wire.Notified("r", self._now()), *messages])
            case "command":
                return wire.encode([wire.Commanded("r", self._now()), self._command()])
            case "gone":
                return wire.encode([wire.Gone(gateway, self._lives[gateway], self._now())])
            case "rules":
                return wire.encode(self.rules())
            case "mark":
                return wire.encode([wire.Mark("r", AT_US)])
            case "part":
                return wire.encode([wire.Checkpoint("r", chance.randint(0, 99), 0, 2, b"digest", b"body")])
            case _:
                return wire.encode([*self._batch(gateway), wire.Mark("r", AT_US)])

    def _batch(self, gateway: str) -> list[wire.Envelope]:
        chance = self._chance
        contents: list[wire.Envelope] = []
        if not self._lives[gateway] or chance.random() < 0.05:
            self._lives[gateway] += 1
            self._numbers[gateway] = 0
            contents.append(wire.Hello())
        self._numbers[gateway] += chance.choice((0, 1, 1, 1, 1, 3)) if self._numbers[gateway] else 1
        for _ in range(chance.randint(0, 5)):
            conn = f"{gateway}~{chance.randint(1, 4)}"
            user, ref = chance.choice(("ann", "bob")), chance.choice(("", "r"))
            match chance.randint(0, 8):
                case 0 | 1 | 2:
                    since = chance.choice((None, Position("one-1", 3)))
                    contents.append(self._join(conn, user, ref, since))
                case 3:
                    watched = chance.choice(ADDRESSES)
                    contents.append(wire.Watch(watched, conn, user, on=chance.random() < 0.7))
                case 4:
                    contents.append(wire.Inform(chance.choice(ADDRESSES), conn, self._info()))
                case 8:
                    epoch = chance.choice(("one-1", "one-2", "two-1"))
                    contents.append(wire.Seen(chance.choice(ROOMS), conn, epoch, chance.randint(0, 9)))
                case 5:
                    rooms = tuple(chance.choices(ROOMS, k=chance.randint(1, 4)))
                    contents.append(wire.Leave(rooms, conn, ref, user))
                case _:
                    contents.append(self._publish(conn, user))
        return [wire.Batch(gateway, self._lives[gateway], self._numbers[gateway], self._now()), *contents]

    def _join(self, conn: str, user: str, ref: str, since: Position | None) -> wire.Join:
        chance = self._chance
        came_us = chance.choice((0, 0, 1, self._now()))
        access = {"token_id": chance.choice(TOKENS), "issued_s": chance.randint(0, 3)}
        limit, replace = chance.choice((0, 0, 1, 2)), chance.random() < 0.5
        room = chance.choice((*ADDRESSES, f"@{user}"))
        shown = {"info": self._info(), "presence": chance.choice((0, 1, 2, 3, 3))}
        return wire.Join(
            room, conn, user, ref, since, limit=limit, replace=replace, came_us=came_us, **access, **shown
        )

    def _command(self) -> wire.Command:
        chance = self._chance
        return wire.Command(
            chance.choice("123456789"),
            chance.choice(VERBS),
            chance.choice(ADDRESSES),
            chance.choice(("", "ann", "bob")),
            tuple(chance.choices(("g1~1", "g2~2", "g3~3"), k=chance.randint(0, 1))),
            chance.choice((0, 0, 4001, 77)),
            until_ms=chance.choice((0, self._now() // 1_000 + chance.randint(0, 9))),
            rooms=("a", "b"),
            token_id=chance.choice(TOKENS),
            before_s=chance.randint(0, 3),
        )

    def _info(self) -> bytes:
        return self._chance.choice((b"", b"", b'{"name":"Ann"}', b"2"))

    def _publish(self, conn: str, user: str = "") -> wire.Publish:
        chance = self._chance
        return wire.Publish(
            chance.choice(ADDRESSES),
            "CHAT",
            b"1",
            AT_US,
            conn,
            user,
            chance.choice(IDS),
            ephemeral=chance.random() < 0.2,
            trace=chance.choice(("", "", "00-1-2-01")),
            receipt=chance.choice((0, 0, 1, 2, 3)),
            asker=chance.choice(("", "r")),
            unseen_ms=chance.choice((0, 0, 1, 5)),
        )


def made(chance: Random, count: int) -> list[bytes]:
    """Return so many records; one of the first begins the log's life, mostly by the present version."""
    entries = Entries(chance)
    early = [entries.next() for _ in range(chance.choice((0, 0, 3)))]
    rules = wire.encode([wire.Rules("one", chance.choice((1, 2, 2)), 4, 3, 2, AT_US)])
    return [*early, rules, *(entries.next() for _ in range(count - 1 - len(early)))]


def write(path: Path, records: list[bytes]) -> None:
    """Write records for another process."""
    path.write_bytes(msgspec.msgpack.encode(records))


def main() -> None:
    """Print what a fold makes of a file's records."""
    fold, said = Fold(0, 1), []
    for offset, record in enumerate(msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=list[bytes])):
        said.append(f"{offset} {fold.apply(offset, record)} {fold.parts(256)[1].hex()}")
    said += [each.hex() for each in fold.parts(256)[0]]
    sys.stdout.write("\n".join(said))


if __name__ == "__main__":
    main()
