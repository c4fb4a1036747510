"""The promise under a short seeded schedule of kills, freezes and cuts; and the mutants, each of which the
same check must find.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.faults import mutants
from tests.faults.assertions import Kind
from tests.faults.checker import Options, check, say
from tests.faults.deployment import Measures
from tests.faults.report import Report
from tests.faults.schedule import Target

from rabbit_nodes.cluster import RabbitCluster

# All on one worker, since they share the cluster; each has a prefix of its own on it.
pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.xdist_group("soak")]

SEED = int(os.environ.get("WARREN_TEST_SEED", "20"))
# Which fault gives each mutant away, and who must be hurt for it to show.
MUTANTS = {
    "no_dedup": (Kind.DOUBLED, Target.CLIENT),
    "resume_lies": (Kind.LOST, Target.CLIENT),
    "resume_off": (Kind.UNRECOVERED, Target.CLIENT),
}


def told(report: Report) -> str:
    return "\n" + "\n".join(report.lines())


def small(mutant: str, *targets: Target) -> Options:
    """Return a run that takes twenty seconds, start and end included; less where a mutant is found sooner."""
    return Options(
        seconds=10.0,
        seed=SEED,
        measures=Measures(gateways=2, routers=2, mutant=mutant),
        trouble_every_s=0.7 if Target.CLIENT in targets else 1.5,
        targets=frozenset(targets),
        drain_s=3.0 if mutant else 40.0,
        # What is lost shows at the end alone: until then it may be on its way.
        until=MUTANTS[mutant][0] if mutant and MUTANTS[mutant][0] is not Kind.LOST else None,
    )


@pytest.mark.timeout(300)
async def test_nothing_is_lost_doubled_or_out_of_order(tmp_path: Path, cluster: RabbitCluster) -> None:
    """Three gateways, three routers and three broker nodes, each killed, frozen or cut: what was acknowledged
    came once and in order.
    """
    options = Options(seconds=40.0, seed=SEED, trouble_every_s=2.5)
    report = await check(options, tmp_path, say, cluster=cluster)
    say(told(report))
    assert report.good
    figures = report.verdict.figures
    assert figures.messages > 1_000
    assert figures.recovered > 10
    assert len(report.done) >= 8


async def test_the_checker_finds_nothing_without_a_mutant(tmp_path: Path, cluster: RabbitCluster) -> None:
    """The same troubles in which the mutants are found do no harm to the real services."""
    options = small("", Target.CLIENT, Target.ROUTER)
    report = await check(options, tmp_path, say, cluster=cluster, prefix="sound")
    assert report.good, told(report)


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_the_checker_finds_the_mutant(mutant: str, tmp_path: Path, cluster: RabbitCluster) -> None:
    """With a fault put into a service the promise is seen to be broken, by the right name."""
    kind, target = MUTANTS[mutant]
    report = await check(small(mutant, target), tmp_path, say, cluster=cluster, prefix=mutant)
    say(str(report.verdict.kinds()))
    assert not report.verdict.kept, told(report)
    assert report.verdict.kinds()[kind] > 0, told(report)


def test_every_mutant_is_run() -> None:
    """No mutant lies in its folder without being looked for."""
    assert set(mutants.names()) == set(MUTANTS)
