"""The scripted server's list of members."""

from __future__ import annotations

import random

from warren_conformance.presence_list import MODULUS, PresenceList


def test_the_digest_is_the_sum_of_the_proofs_that_were_told() -> None:
    """Whoever applies all diffs has it; whoever lost one has not."""
    people = PresenceList("r", random.Random(1))
    told: dict[str, int] = {}
    for frame in (people.change(joined=("a", "b")), people.change(joined=("c",), left=("a",))):
        payload = frame["payload"]
        for user in payload["left"]:
            del told[user]
        told |= {each["user"]: int(each["proof"], 16) for each in payload["joined"]}
        assert payload["digest"] == f"{sum(told.values()) % MODULUS:016x}"
    people.change(joined=("lost",))
    assert people.digest != f"{sum(told.values()) % MODULUS:016x}"
    assert people.users == ["b", "c", "lost"]


def test_pages_follow_each_other() -> None:
    """Each has the members behind a name, and says whether there are more."""
    people = PresenceList("r", random.Random(1))
    people.change(joined=("a", "b", "c"))
    first = people.answer({"id": "p1", "payload": {"limit": 2}})
    assert first["ref"] == "p1"
    assert [each["user"] for each in first["payload"]["joined"]] == ["a", "b"]
    assert first["payload"]["more"] is True
    second = people.answer({"payload": {"limit": 2, "after": "b"}})
    assert [each["user"] for each in second["payload"]["joined"]] == ["c"]
    assert second["payload"]["more"] is False
    assert "ref" not in second
