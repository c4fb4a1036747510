"""Leases: who lives, as far as can be heard."""

from warren.lease import Leases


def test_a_holder_lives_until_it_was_not_heard_for_a_lease():
    """It is new once, each word renews its lease, and it is gone once."""
    leases: Leases[str] = Leases(5.0)
    assert leases.renew("a", "one", 0.0)
    assert not leases.renew("a", "two", 4.0)
    assert leases.expire(8.9) == []
    assert (leases.living, leases.said("a")) == ({"a"}, "two")
    assert leases.expire(9.0) == ["a"]
    assert leases.expire(9.0) == []
    assert (leases.living, leases.said("a")) == (frozenset(), None)
    assert leases.renew("a", "three", 10.0)


def test_one_that_was_only_met_has_one_lease_and_has_said_nothing():
    """Meeting it again renews nothing, and its first word is that of a known one."""
    leases: Leases[str] = Leases(5.0)
    assert leases.meet("a", 0.0)
    assert not leases.meet("a", 4.0)
    assert leases.meet("b", 0.0)
    assert (leases.living, leases.said("a"), leases.all_said()) == ({"a", "b"}, None, {})
    assert not leases.renew("a", "one", 4.5)
    assert leases.all_said() == {"a": "one"}
    assert leases.expire(5.0) == ["b"]


def test_a_shortened_lease_is_half_of_one_until_its_holder_is_heard():
    """It is shortened once, and never becomes longer by it."""
    leases: Leases[str] = Leases(4.0)
    leases.renew("a", "one", 0.0)
    assert leases.shorten("a", 0.0)
    assert not leases.shorten("a", 1.0)
    assert not leases.shorten("nobody", 1.0)
    leases.renew("a", "two", 1.0)
    assert leases.shorten("a", 4.9)
    assert leases.expire(4.9) == []
    assert leases.expire(5.0) == ["a"]


def test_no_lease_ends_for_what_could_not_be_heard():
    """When holders can be heard again each has a whole lease, and none is shortened."""
    leases: Leases[str] = Leases(1.5)
    leases.renew("a", "one", 0.0)
    leases.renew("b", "one", 9.0)
    leases.renew_all(8.0)
    assert leases.expire(9.4) == []
    assert leases.expire(9.5) == ["a"]
    assert leases.living == {"b"}


def test_who_says_goodbye_is_gone_at_once():
    """And nobody can leave twice."""
    leases: Leases[str] = Leases(1.5)
    leases.renew("a", "one", 0.0)
    assert leases.end("a")
    assert not leases.end("a")
    assert leases.living == frozenset()


def test_when_a_holder_was_heard_last_is_known_whatever_its_lease_became():
    """One that was only met was never heard, and one whose lease is made longer neither."""
    leases: Leases[str] = Leases(5.0)
    leases.renew("a", "one", 1.0)
    leases.meet("b", 2.0)
    leases.renew_all(3.0)
    leases.shorten("a", 3.0)
    assert (leases.heard_at("a"), leases.heard_at("b"), leases.heard_at("c")) == (1.0, None, None)
    leases.renew("b", "two", 4.0)
    assert leases.heard_at("b") == 4.0
