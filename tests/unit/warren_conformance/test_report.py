"""Results as text, JSON and JUnit."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from warren_conformance import report
from warren_conformance.trial import Result

PASSED = Result("a", "passed", 1.0, notes=("it may be slow",))
FAILED = Result(
    "b", "failed", 2.0, "the client <left>\x00", "stay", "Order and position", transcript=("0.1 c1 ▶ x",)
)
SKIPPED = Result("c", "skipped", 0.0, "not declared", "r", "Messages")
BROKEN = Result("d", "broken", 0.1, "no such program", "r", "Messages")


def test_a_failure_says_what_was_done_against_which_rule_and_where_it_stands() -> None:
    """And with the transcript, what went before."""
    text = report.line(FAILED, transcript=True)
    for words in (
        "FAIL",
        "the client <left>",
        "the rule: stay",
        "docs/protocol.md, “Order and position”",
        "c1 ▶ x",
    ):
        assert words in text
    assert "c1 ▶ x" not in report.line(FAILED)
    assert "note: it may be slow" in report.line(PASSED)
    assert "not declared" in report.line(SKIPPED)


@pytest.mark.parametrize(
    ("results", "code", "words"),
    [
        ([PASSED, SKIPPED], 0, "1 passed, 0 failed, 1 skipped"),
        ([PASSED, FAILED, BROKEN], 1, "1 passed, 1 failed, 0 skipped, 1 not run"),
        ([PASSED, BROKEN], 3, "1 not run, because of the adapter"),
    ],
)
def test_the_exit_code_says_whose_fault_it_was(results: list[Result], code: int, words: str) -> None:
    """A broken rule counts more than a broken adapter; what is skipped is no fault."""
    assert report.exit_code(results) == code
    assert words in report.summary(results)


def test_machines_read_the_same() -> None:
    """JUnit survives what XML can't have."""
    results = [PASSED, FAILED, SKIPPED, BROKEN]
    found = json.loads(report.as_json(results))["results"]
    assert [each["outcome"] for each in found] == ["passed", "failed", "skipped", "broken"]
    suite = ElementTree.fromstring(report.as_junit(results))
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    cases = {case.get("name"): case for case in suite}
    failure = cases["b"].find("failure")
    assert failure is not None
    assert failure.get("message") == "the client <left>�"
    assert "▶ x" in (failure.text or "")
    assert cases["a"].get("classname") == "warren.v1."
    assert cases["b"].get("classname") == "warren.v1.order_and_position"
