"""hook_waits: what waits of one connection, in its order and bounded."""

from gateway.core.client_messages import ClientMessage
from gateway.core.hook_waits import BEHIND_MAX, BYTES_MAX, OPEN_MAX, Held, HookWaits


def held(room: str = "r", name: str = "1", payload: bytes = b"1") -> Held:
    return Held(ClientMessage("CHAT", room, payload, id=name), "", room, 0, "")


def test_what_follows_to_a_room_waits_behind_what_is_decided():
    """In its order; other rooms do not wait."""
    waits = HookWaits()
    assert not waits.holds("r")
    waits.ask(1, held(name="1"))
    assert waits.holds("r")
    assert not waits.holds("s")
    for name in "234":
        waits.put(held(name=name))
    assert waits.following("r") is None
    assert waits.decided(1).message.id == "1"
    assert waits.following("r").message.id == "2"
    waits.ask(2, held(name="2"))
    assert waits.following("r") is None
    waits.decided(2)
    assert [waits.following("r").message.id for _ in range(2)] == ["3", "4"]
    assert waits.holds("r")  # whoever handles the last one may still ask
    assert waits.following("r") is None
    assert not waits.holds("r")
    assert waits.bytes == 0


def test_an_answer_counts_once():
    """A ticket that is not open is nobody's."""
    waits = HookWaits()
    waits.ask(1, held())
    assert waits.decided(2) is None
    assert waits.decided(1) is not None
    assert waits.decided(1) is None


def test_a_client_is_not_read_beyond_its_bounds():
    """Of messages behind one another, of questions, and of bytes."""
    behind = HookWaits()
    behind.ask(1, held())
    for _ in range(BEHIND_MAX):
        assert not behind.full
        behind.put(held())
    assert behind.full
    asked = HookWaits()
    for number in range(OPEN_MAX):
        assert not asked.full
        asked.ask(number, held(room=str(number)))
    assert asked.full
    asked.decided(3)
    assert not asked.full
    large = HookWaits()
    large.ask(1, held(payload=b"x" * BYTES_MAX))
    assert large.full
