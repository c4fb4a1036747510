"""How many parts of answers wait for one client."""

from gateway.core.part_window import WAITING_MAX, PartWindow


def test_so_many_parts_may_wait() -> None:
    """Those that the client has taken do not."""
    window = PartWindow()
    for place in range(1, WAITING_MAX + 1):
        assert window.admits(0, place - 1)
        window.put(place)
    assert not window.admits(0, WAITING_MAX)
    assert window.admits(1, WAITING_MAX - 1)
    window.put(WAITING_MAX + 1)
    assert not window.admits(1, WAITING_MAX)
    assert window.admits(WAITING_MAX + 1, 5)


def test_what_else_waits_is_not_counted() -> None:
    """A burst of messages of rooms is no reason to stop a service."""
    window = PartWindow()
    for place in range(1, WAITING_MAX):
        assert window.admits(0, 10 * place)
        window.put(10 * place)
    assert window.admits(0, 10_000)


def test_where_nothing_waits_no_part_does() -> None:
    """Though messages before it were withheld, so that it was taken sooner than it seemed."""
    window = PartWindow()
    for place in range(WAITING_MAX):
        window.put(1_000 + place)
    assert not window.admits(10, 5)
    assert window.admits(10, 0)
