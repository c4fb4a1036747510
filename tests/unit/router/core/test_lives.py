"""Lives: positions that only grow, and what is remembered of rooms without members."""

from router.core.lives import Lives
from warren.position import Position


def test_a_life_counts_from_one_under_an_epoch_of_its_own():
    """Each room's first message is 1; epochs carry the term and are valid positions."""
    lives = Lives(0xABC, 10)
    assert lives.at("a") == Position("abc-1", 0)
    assert lives.advance("a") == Position("abc-1", 1)
    assert lives.advance("a") == Position("abc-1", 2)
    assert lives.advance("b") == Position("abc-2", 1)
    assert lives.get("a") == Position("abc-1", 2)
    assert lives.get("c") is None
    assert lives.at("a").is_valid()


def test_of_rooms_without_members_the_latest_used_are_remembered():
    """Beyond the limit the room not used for longest is forgotten, and begins a new life when it comes back."""
    lives = Lives(1, 2)
    for room in ("a", "b"):
        lives.advance(room)
    lives.advance("a")
    lives.advance("c")
    assert ("a" in lives, "b" in lives, "c" in lives) == (True, False, True)
    assert lives.advance("b") == Position("1-4", 1)
    assert len(lives) == 2


def test_a_room_with_members_is_never_forgotten():
    """From wake until rest a room keeps its position, however many others come."""
    lives = Lives(1, 1)
    lives.advance("a")
    lives.wake("a")
    for number in range(5):
        lives.advance(f"x{number}")
    assert lives.get("a") == Position("1-1", 1)
    lives.rest("a")
    lives.advance("y")
    assert "a" not in lives


def test_everyone_is_always_remembered():
    """The address of everyone has no members, and keeps its position all the same."""
    lives = Lives(1, 1)
    lives.advance("*")
    for number in range(5):
        lives.advance(f"x{number}")
    assert lives.advance("*").seq == 2


def test_a_room_without_a_position_can_t_rest():
    """Nothing is made up for a room that was never used."""
    lives = Lives(1, 1)
    lives.rest("a")
    assert len(lives) == 0
