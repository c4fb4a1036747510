"""A result that comes once."""

from warren_client.core.outcome import Outcome
from warren_client.errors import WarrenError


def test_the_first_word_counts() -> None:
    """What comes later changes nothing."""
    outcome: Outcome[int] = Outcome()
    seen: list[int | None] = []
    outcome.then(lambda done: seen.append(done.value))
    outcome.resolve(1)
    outcome.resolve(2)
    outcome.reject(WarrenError("x", "y"))
    outcome.then(lambda done: seen.append(done.value))
    assert (seen, outcome.error) == ([1, 1], None)


def test_one_may_be_an_error_from_the_beginning() -> None:
    """Who waits for it is told at once."""
    error = WarrenError("x", "y")
    seen = []
    Outcome.failed(error).then(lambda done: seen.append(done.error))
    assert seen == [error]
