"""GatewayBatches: which batch counts."""

import pytest

from router.core.gateway_batches import GatewayBatches, Verdict


@pytest.mark.parametrize(
    ("life", "number", "hello", "verdict"),
    [
        (5, 4, False, Verdict.TAKEN),
        (5, 9, False, Verdict.TAKEN),  # numbers between were given up
        (5, 3, False, Verdict.REPEAT),
        (5, 1, True, Verdict.REPEAT),  # its Hello comes again
        (6, 1, True, Verdict.BEGINS),
        (6, 1, False, Verdict.REFUSED),
        (6, 2, False, Verdict.REFUSED),
        (4, 1, True, Verdict.REFUSED),
        (4, 9, False, Verdict.REFUSED),
    ],
)
def test_a_batch_counts_once_and_in_its_life_alone(life, number, hello, verdict):
    """The gateway lives for the fifth time, and its batch 3 was the last."""
    lives = GatewayBatches({"g": (5, 3)})
    assert lives.judge("g", life, number, hello=hello) is verdict


def test_a_life_that_has_ended_does_not_begin_again():
    """Only a higher one does, and the number of the last batch that counted is remembered."""
    lives = GatewayBatches()
    assert lives.judge("g", 2, 1, hello=True) is Verdict.BEGINS
    lives.take("g", 2, 1)
    lives.take("g", 2, 7)
    assert (lives.living, lives.names) == ({"g": (2, 7)}, ("g",))
    assert lives.end("g", 10) == 7
    assert (lives.living, lives.names, lives.ended) == ({}, (), {"g": (2, 7)})
    assert lives.judge("g", 2, 1, hello=True) is Verdict.REFUSED
    assert lives.judge("g", 1, 1, hello=True) is Verdict.REFUSED
    assert lives.judge("g", 3, 1, hello=True) is Verdict.BEGINS
    assert (lives.counted("g", 2), lives.counted("g", 1), lives.counted("h", 2)) == (7, 0, 0)


def test_only_the_latest_ended_lives_are_remembered():
    """The one that ended first is forgotten first; one that ends again goes to the end."""
    lives = GatewayBatches({"a": (2, 5), "b": (1, 1)}, {"a": (1, 9), "c": (1, 2)})
    lives.end("a", 2)
    assert list(lives.ended.items()) == [("c", (1, 2)), ("a", (2, 5))]
    lives.end("b", 2)
    assert list(lives.ended.items()) == [("a", (2, 5)), ("b", (1, 1))]
    lives.forget(0)
    assert lives.ended == {}


def test_a_life_that_never_counted_can_be_noted():
    """The highest one of each name, and only so many names."""
    lives = GatewayBatches()
    for gateway, life in (("a", 2), ("b", 1), ("a", 1)):
        lives.note(gateway, life, 2)
    assert list(lives.ended.items()) == [("b", (1, 0)), ("a", (2, 0))]
    lives.note("c", 1, 2)
    assert list(lives.ended) == ["a", "c"]
