"""LogCapacity: what all gateways may write, against what a log keeps."""

from router.core.log_capacity import LogCapacity


def test_too_much_is_told_once_and_so_is_its_end():
    """As much as the log surely keeps is not too much."""
    capacity = LogCapacity(100)
    told = [capacity.judge(each) for each in (100, 101, 200, 100, 0)]
    assert told == [None, True, None, False, None]
