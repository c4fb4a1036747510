"""The verbs: what the parser knows is what the contract says."""

from router.core.verbs import SCOPE_VERBS, VERBS
from warren.contract import queries


def test_the_verbs_are_those_of_the_contract():
    """In the same order, each with the same body and result."""
    listed = [(verb.name, verb.body, verb.result) for verb in queries.VERBS]
    assert [(name, verb.body, verb.result) for name, verb in VERBS.items()] == listed


def test_each_scope_is_a_verbs_own_or_that_of_another():
    """Several messages are messages, and all that is asked about the installation is one scope."""
    assert {name: verb.needs for name, verb in VERBS.items() if verb.needs != name} == {
        "batch": "publish",
        "samples": "overview",
        "gateways": "overview",
        "shards": "overview",
    }
    assert {verb.needs for verb in VERBS.values()} == SCOPE_VERBS
