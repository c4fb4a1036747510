"""Who is online since when, and who was seen last: known only where it was seen."""

from router.core.user_activity import UserActivity


def test_a_user_is_online_from_the_first_connection_to_the_last():
    """Connections between change nothing."""
    activity = UserActivity()
    activity.came("ann", 10, 1)
    activity.came("ann", 20, 2)
    activity.left("ann", 30, 1)
    assert (activity.since_us("ann"), activity.last_seen_us("ann")) == (10, None)
    activity.left("ann", 40, 0)
    assert (activity.since_us("ann"), activity.last_seen_us("ann")) == (None, 40)
    activity.came("ann", 50, 1)
    assert activity.since_us("ann") == 50


def test_what_was_not_seen_is_not_known():
    """Neither of a user whose first connection came before, nor of one who was never here."""
    activity = UserActivity()
    activity.came("ann", 20, 2)
    assert activity.since_us("ann") is None
    assert activity.last_seen_us("bob") is None


def test_users_are_forgotten_in_the_end():
    """Those of whom nothing was heard for longest first."""
    activity = UserActivity(2)
    for number, user in enumerate(["a", "b", "a", "c"]):
        activity.left(user, number, 0)
    assert [activity.last_seen_us(user) for user in "abc"] == [2, None, 3]
