"""Who has seen what, kept right by its sum."""

from warren_client.core.seen_positions import SeenNews, SeenPositions


def news(total: int, epoch: str = "e1", **users: int) -> SeenNews:
    return SeenNews(epoch, total, users)


def test_of_what_is_told_in_any_order_the_greatest_counts() -> None:
    """The sum says whether that is all."""
    seen = SeenPositions()
    assert seen.take(news(9, bob=4, eve=5))
    assert not seen.take(news(9, bob=3))
    assert (seen.users, seen.is_complete) == ({"bob": 4, "eve": 5}, True)
    seen.take(news(20, bob=6))
    assert not seen.is_complete


def test_another_epoch_voids_what_was_known() -> None:
    """In a diff and in a page."""
    seen = SeenPositions()
    seen.take(news(4, bob=4))
    assert seen.take(news(1, "e2", eve=1))
    assert seen.users == {"eve": 1}
    assert seen.replace(news(2, "e3", bob=2), [])
    assert (seen.users, seen.epoch, seen.is_complete) == ({"bob": 2}, "e3", True)


def test_whom_a_page_does_not_name_was_forgotten_unless_it_was_named_since() -> None:
    """What was told since the page was asked for counts as well."""
    seen = SeenPositions()
    seen.take(news(9, bob=4, eve=5))
    assert seen.replace(news(4, bob=4), [news(7, dan=3), news(1, "e0", fay=1)])
    assert (seen.users, seen.is_complete) == ({"bob": 4, "dan": 3}, True)


def test_clear_forgets_everything() -> None:
    """It is news if there was anything."""
    seen = SeenPositions()
    assert not seen.clear()
    seen.take(news(4, bob=4))
    assert seen.clear()
    assert (seen.users, seen.epoch, seen.is_complete) == ({}, None, True)


def test_it_is_read_from_a_presence() -> None:
    """Users may be called anything."""
    said = {"epoch": "e1", "sum": 5, "users": {"__class__": 5}}
    assert SeenNews.of(said) == SeenNews("e1", 5, {"__class__": 5})
    assert SeenNews.of({"epoch": "e1", "sum": 0}).users == {}
