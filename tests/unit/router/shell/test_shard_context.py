"""ShardContext: what all shards have in common."""

import pytest
from tests.support.shard_harness import ShardHarness

from warren.namespaces import Namespaces


@pytest.mark.parametrize(
    ("namespaces", "horizon_s"),
    [
        ("[]", 300),
        ("[{name: n, pattern: 'n*', history: {count: 10, age_s: 5000}}]", 5_000),
        ("[{name: n, pattern: 'n*', history: {count: 10, age_s: 5}}]", 300),
        ("[{name: n, pattern: 'n*', history: off}]", 300),
    ],
)
def test_histories_reach_as_far_back_as_the_longest_of_them(namespaces, horizon_s):
    """Also those of rooms that no namespace names."""
    assert ShardHarness(namespaces=Namespaces.parse(namespaces)).context.horizon_s == horizon_s
