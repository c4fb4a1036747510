"""Presence frames: what routers say of who is in a room ▶ the payloads of PRESENCE frames, as JSON text.

A number of 64 bits goes as 16 hex digits: JavaScript's numbers have 53. It keeps nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from warren.envelope import PresenceDiff, PresenceMember, PresencePage, SeenState

_encoder: Final = msgspec.json.Encoder()


class Proof(NamedTuple):
    """What a room's presence is as of ``version``: how many are there, and the sum of all their proofs. Of
    what is seen there the epoch and the sum of all seqs (an empty epoch: the room does not tell that).
    """

    version: int
    users: int
    connections: int
    digest: int
    counts_only: bool = False
    epoch: str = ""
    seen: int = 0

    def agrees(self, other: Proof | None) -> bool:
        """Say whether just the same are there, with the same info; versions may differ where nothing has
        come of what happened.
        """
        return other is not None and self[1:] == other[1:]


def proof_of(said: PresenceDiff | PresencePage) -> Proof:
    """Return what a room's presence is, as a router says."""
    epoch, seen = ("", 0) if said.seen is None else (said.seen.epoch, said.seen.sum)
    return Proof(said.version, said.users, said.connections, said.digest, said.counts_only, epoch, seen)


def hex_of(number: int) -> str:
    """Return a digest or proof as a client reads it."""
    return f"{number:016x}"


def proof_payload(proof: Proof) -> bytes:
    """Return the payload that tells what there is, and nobody by name."""
    return _encoder.encode(_head(proof))


def diff_payload(diff: PresenceDiff) -> bytes:
    """Return the payload that tells what has changed."""
    body = _head(proof_of(diff))
    if diff.joined:
        body["joined"] = _members(diff.joined)
    if diff.left:
        body["left"] = diff.left
    if diff.updated:
        body["updated"] = _members(diff.updated)
    _name_seen(body, diff.seen)
    return _encoder.encode(body)


def page_payload(page: PresencePage, after: str) -> bytes:
    """Return the payload that tells who is there, behind the key ``after``."""
    body = _head(proof_of(page))
    body |= {"page": True, "after": after, "more": page.more, "joined": _members(page.members)}
    _name_seen(body, page.seen)
    return _encoder.encode(body)


def _head(proof: Proof) -> dict[str, Any]:
    head: dict[str, Any] = {
        "version": proof.version,
        "count": {"users": proof.users, "connections": proof.connections},
        "digest": hex_of(proof.digest),
    }
    if proof.counts_only:
        head["counts_only"] = True
    if proof.epoch:
        head["seen"] = {"epoch": proof.epoch, "sum": proof.seen}
    return head


def _name_seen(body: dict[str, Any], seen: SeenState | None) -> None:
    if seen is not None and seen.users:
        body["seen"]["users"] = dict(seen.users)


def _members(members: Sequence[PresenceMember]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for member in members:
        one: dict[str, Any] = {"user": member.user}
        if member.key != member.user:
            one["connection"] = member.key
        if member.info:
            one["info"] = msgspec.Raw(member.info)
        one["proof"] = hex_of(member.proof)
        told.append(one)
    return told
