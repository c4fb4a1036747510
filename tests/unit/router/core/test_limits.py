"""ShardLimits: the defaults fit one another."""

from router.core.limits import ShardLimits
from warren.namespaces import HistoryPolicy
from warren.topology import Limits


def test_a_log_holds_several_checkpoints_before_it_drops_its_oldest():
    """By default a checkpoint is due after a quarter of what the log may hold, and one room can't take all that is kept."""
    limits = ShardLimits()
    assert limits.checkpoint_bytes <= Limits().history_bytes // 4
    assert limits.room_history_bytes < limits.history_bytes
    assert limits.history_floor_us < HistoryPolicy().age_s * 1_000_000
