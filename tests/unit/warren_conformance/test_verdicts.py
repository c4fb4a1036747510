"""What a scenario can come to."""

from __future__ import annotations

from warren_conformance.verdicts import Breach


def test_a_breach_says_what_was_done_and_may_name_another_rule() -> None:
    """Without a rule of its own, the scenario's counts."""
    assert str(Breach("the client left")) == "the client left"
    assert (Breach("x").rule, Breach("x", rule="r", section="s").section) == ("", "s")
