"""Report: results as text for people, as JSON, and as JUnit XML for machines that run tests. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final
from xml.etree import ElementTree

from warren_conformance.trial import Result

PAGE: Final = "docs/protocol.md"
_WORDS: Final = {"passed": "ok", "failed": "FAIL", "skipped": "skip", "broken": "BROKEN"}
# What XML 1.0 can't have.
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def line(result: Result, *, transcript: bool = False) -> str:
    """Return what is said of one scenario."""
    said = [f"{_WORDS[result.outcome]:6} {result.name:34} {result.seconds:5.1f} s"]
    if result.outcome == "failed":
        said.append(f"       {result.sentence}")
        said.append(f"       the rule: {result.rule}")
        said.append(f"       {PAGE}, “{result.section}”")
    elif result.sentence:
        said.append(f"       {result.sentence}")
    said += [f"       note: {note}" for note in result.notes]
    if transcript:
        said += [f"       {entry}" for entry in result.transcript]
    return "\n".join(said)


def summary(results: Sequence[Result]) -> str:
    """Return the last line."""
    counts = {outcome: sum(each.outcome == outcome for each in results) for outcome in _WORDS}
    said = f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
    return said + (f", {counts['broken']} not run, because of the adapter" if counts["broken"] else "")


def exit_code(results: Sequence[Result]) -> int:
    """Return 0 where nothing failed, 1 where the client broke a rule, 3 where the adapter did."""
    outcomes = {each.outcome for each in results}
    return 1 if "failed" in outcomes else 3 if "broken" in outcomes else 0


def as_json(results: Sequence[Result]) -> str:
    """Return the results as a JSON document."""
    return json.dumps(
        {"page": PAGE, "results": [asdict(each) for each in results]}, indent=1, ensure_ascii=False
    )


def as_junit(results: Sequence[Result]) -> str:
    """Return the results as JUnit XML."""
    root = ElementTree.Element(
        "testsuite",
        name="warren.v1 conformance",
        tests=str(len(results)),
        failures=str(sum(each.outcome == "failed" for each in results)),
        errors=str(sum(each.outcome == "broken" for each in results)),
        skipped=str(sum(each.outcome == "skipped" for each in results)),
        time=f"{sum(each.seconds for each in results):.3f}",
    )
    for each in results:
        case = ElementTree.SubElement(
            root, "testcase", classname=_section(each), name=each.name, time=f"{each.seconds:.3f}"
        )
        if each.outcome == "skipped":
            ElementTree.SubElement(case, "skipped", message=_xml(each.sentence))
        elif each.outcome != "passed":
            kind = "failure" if each.outcome == "failed" else "error"
            found = ElementTree.SubElement(case, kind, message=_xml(each.sentence))
            found.text = _xml("\n".join([f"{each.rule} ({PAGE}, “{each.section}”)", *each.transcript]))
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _section(result: Result) -> str:
    return "warren.v1." + re.sub(r"\W+", "_", result.section).strip("_").lower()


def _xml(text: str) -> str:
    return _NOT_XML.sub("�", text)
