"""connection_deadlines: what is due, and when."""

from gateway.core.connection_deadlines import ConnectionDeadlines, Due

WALL_US = 1_764_000_000_000_000
WALL_S = 1_764_000_000.0


def deadlines(*, known: bool = True) -> ConnectionDeadlines:
    """Return those of a connection that was opened at 100 s; a ping is due every 30 s, a token within 10 s."""
    made = ConnectionDeadlines(30.0)
    made.begin(100.0, 10.0)
    if known:
        made.known()
    return made


def test_a_token_is_waited_for_until_its_time_and_not_once_the_client_is_known():
    """At the time and not before."""
    unknown = deadlines(known=False)
    assert [unknown.due(now) for now in (109.9, 110.0)] == [Due.NOTHING, Due.NO_TOKEN]
    assert deadlines().due(110.0) is Due.NOTHING


def test_a_ping_is_due_each_heartbeat_while_there_are_signs_of_life():
    """Once each."""
    one = deadlines()
    for now in (130.0, 160.0, 190.0):
        assert one.due(now - 0.1) is Due.NOTHING
        assert one.due(now) is Due.PING
        one.heard()


def test_who_is_silent_from_one_ping_to_the_next_is_given_up():
    """Whatever came before the ping counts for nothing."""
    one = deadlines()
    one.heard()
    assert one.due(130.0) is Due.PING
    assert one.due(159.9) is Due.NOTHING
    assert one.due(160.0) is Due.SILENT


def test_a_tokens_end_is_kept_in_our_time():
    """Its wall clock is turned into ours at the moment it is taken; a later token moves it, or ends it."""
    one = deadlines()
    assert one.live_until(WALL_S + 5, 100.0, WALL_US)
    assert [one.due(now) for now in (104.9, 105.0)] == [Due.NOTHING, Due.TOKEN_EXPIRED]
    assert one.live_until(WALL_S + 20, 104.0, WALL_US + 4_000_000)
    assert [one.due(now) for now in (119.9, 120.0)] == [Due.NOTHING, Due.TOKEN_EXPIRED]
    assert one.live_until(None, 119.0, WALL_US + 19_000_000)
    assert one.due(120.0) is Due.NOTHING


def test_a_token_that_is_over_gives_no_time():
    """Nor does one that ends this moment."""
    assert not deadlines().live_until(WALL_S, 100.0, WALL_US)
