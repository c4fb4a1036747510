"""Samples: a bounded ring of figures, at even seconds."""

from router.core.samples import EVERY_MS, Samples
from warren.contract.installation import SAMPLES_MAX, Sample


def sample(at):
    return Sample(
        at=at, connections=0, users=0, rooms=0, members=0, in_rate=0, out_rate=0, error_rate=0, gateways=0,
        routers=0, waiting=0,
    )  # fmt: skip


def times(samples, after=0):
    return [each.at for each in samples.after(after).samples]


def test_one_is_due_at_each_even_second_and_once():
    """Whoever takes them, they are of the same moments."""
    samples = Samples()
    assert samples.due(10_999) == 10_000
    samples.take(sample(10_000))
    assert (samples.due(11_999), samples.due(12_000), samples.due(17_500)) == (0, 12_000, 16_000)
    samples.skip(12_000)
    assert (samples.due(12_000), times(samples)) == (0, [10_000])


def test_the_oldest_go():
    """It never holds more than those of ten minutes, and gives those after a time."""
    samples = Samples()
    for number in range(1, SAMPLES_MAX + 5):
        samples.take(sample(number * EVERY_MS))
    assert times(samples) == [number * EVERY_MS for number in range(5, SAMPLES_MAX + 5)]
    assert times(samples, (SAMPLES_MAX + 2) * EVERY_MS) == [
        (SAMPLES_MAX + 3) * EVERY_MS,
        (SAMPLES_MAX + 4) * EVERY_MS,
    ]


def test_a_clock_that_is_set_back_leaves_no_sample_of_the_future():
    """They stay in the order of their times."""
    samples = Samples()
    for at in (2_000, 4_000, 6_000):
        samples.take(sample(at))
    assert samples.due(4_500) == 4_000
    samples.take(sample(4_000))
    assert times(samples) == [2_000, 4_000]
