"""presence_frames: the payloads of PRESENCE frames."""

import json

from gateway.core.presence_frames import Proof, diff_payload, hex_of, page_payload, proof_of, proof_payload
from warren.envelope import PresenceDiff, PresenceMember, PresencePage, SeenState

ANN = PresenceMember("ann", "ann", b'{"status":"away"}', 2**64 - 1)
TAB = PresenceMember("g~1", "bob", b"", 1)


def test_a_diff_tells_what_has_changed_and_what_there_is_now():
    """Numbers of 64 bits as 16 hex digits; the connection where it is told of; info as it came."""
    diff = PresenceDiff("r", 12, 2, 3, 0, joined=(ANN,), left=("eve",), updated=(TAB,))
    assert diff_payload(diff) == (
        b'{"version":12,"count":{"users":2,"connections":3},"digest":"0000000000000000",'
        b'"joined":[{"user":"ann","info":{"status":"away"},"proof":"ffffffffffffffff"}],"left":["eve"],'
        b'"updated":[{"user":"bob","connection":"g~1","proof":"0000000000000001"}]}'
    )


def test_what_has_not_changed_is_left_out():
    """A proof and a diff without changes are the same."""
    diff = PresenceDiff("r", 12, 2, 3, 7)
    assert diff_payload(diff) == proof_payload(proof_of(diff))
    assert json.loads(diff_payload(diff)) == {
        "version": 12,
        "count": {"users": 2, "connections": 3},
        "digest": "0000000000000007",
    }


def test_a_page_says_after_which_name_it_begins_and_whether_there_are_more():
    """So that whoever is not on it is known not to be there."""
    page = PresencePage("g~0", "r", "1", 12, 2, 3, 255, (ANN,), more=True)
    found = json.loads(page_payload(page, "a"))
    assert (found["page"], found["after"], found["more"]) == (True, "a", True)
    assert [member["user"] for member in found["joined"]] == ["ann"]
    empty = json.loads(page_payload(PresencePage("g~0", "r", "1", 12, 0, 0, 0), ""))
    assert (empty["joined"], empty["more"]) == ([], False)


def test_a_room_with_too_many_says_so():
    """It tells numbers only."""
    assert json.loads(diff_payload(PresenceDiff("r", 1, 9, 9, 0, counts_only=True)))["counts_only"] is True
    assert "counts_only" not in json.loads(diff_payload(PresenceDiff("r", 1, 9, 9, 0)))


def test_proofs_agree_where_the_same_are_there():
    """Whatever has happened between."""
    assert Proof(5, 1, 1, 7).agrees(Proof(9, 1, 1, 7))
    assert not Proof(5, 1, 1, 7).agrees(Proof(5, 1, 2, 7))
    assert not Proof(5, 1, 1, 7).agrees(None)
    assert hex_of(0xAB) == "00000000000000ab"


def test_who_has_seen_what_is_told_with_the_sum_of_all():
    """By name where it is news; a proof has the sum alone, and two with other sums don't agree."""
    diff = PresenceDiff("r", 12, 2, 3, 7, seen=SeenState("e", 9, (("ann", 4),)))
    assert json.loads(diff_payload(diff))["seen"] == {"epoch": "e", "sum": 9, "users": {"ann": 4}}
    proof = proof_of(diff)
    assert json.loads(proof_payload(proof))["seen"] == {"epoch": "e", "sum": 9}
    page = PresencePage("g~0", "r", "1", 12, 2, 3, 7, seen=SeenState("e", 9, (("ann", 4), ("bob", 5))))
    assert json.loads(page_payload(page, ""))["seen"]["users"] == {"ann": 4, "bob": 5}
    assert proof_of(page) == proof
    assert not proof.agrees(proof._replace(seen=8))
    assert not proof.agrees(proof._replace(epoch="f"))
    assert "seen" not in json.loads(diff_payload(PresenceDiff("r", 12, 2, 3, 7)))
