"""Presence under faults: who watches ends with the truth, nobody is shown for long after having gone, and a
router's death has no list sent again.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.faults.checker import say
from tests.faults.deployment import Measures
from tests.faults.presence_checker import ENV, Options, Report, check
from tests.faults.schedule import Target

from rabbit_nodes.cluster import RabbitCluster

# On the worker of the soaks, with whom they share the cluster.
pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.xdist_group("soak"), pytest.mark.timeout(300)]

SEED = int(os.environ.get("WARREN_TEST_SEED", "5"))


def told(report: Report) -> str:
    return "\n" + "\n".join(report.lines())


async def test_who_watches_ends_with_the_truth(tmp_path: Path, cluster: RabbitCluster) -> None:
    """However gateways, routers and broker nodes are killed, frozen and cut while users come and go."""
    options = Options(
        seconds=30.0, seed=SEED, measures=Measures(env=ENV), rooms=8, users=120, trouble_every_s=3.0
    )
    report = await check(options, tmp_path, say, cluster=cluster)
    say(told(report))
    assert report.good, told(report)
    assert report.acts > 300
    assert len(report.troubles) >= 5


async def test_a_routers_death_has_no_list_sent_again(tmp_path: Path, cluster: RabbitCluster) -> None:
    """Nobody's sum differs from the digest of the next speaker for long enough to ask, though users come and
    go all the while.
    """
    options = Options(
        seconds=16.0,
        seed=SEED,
        measures=Measures(gateways=2, routers=3, env=ENV),
        rooms=8,
        users=120,
        every_s=3.0,
        trouble_every_s=4.0,
        targets=frozenset({Target.ROUTER}),
        kills_alone=True,
    )
    report = await check(options, tmp_path, say, cluster=cluster, prefix="deaths")
    say(told(report))
    assert report.good, told(report)
    assert len(report.deaths) >= 2
