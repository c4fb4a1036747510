"""axe-core, which measures whether a page can be used by everybody."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support.js_site import ROOT

# Called with the ids of rules, or null for all of WCAG 2.2 AA and what is best practice; returns what is wrong in sentences.
RUN_AXE = """async (only) => {
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const runOnly = only ? {type: 'rule', values: only} : {type: 'tag', values: tags};
  const found = await axe.run(document, {runOnly});
  return found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html} ${node.failureSummary}`));
}"""


def axe_source() -> str:
    """Return axe-core's script; skip the test where there is no npm."""
    found = subprocess.run([ROOT / "scripts/test/axe-core"], capture_output=True, text=True, check=False)
    if found.returncode == 3:
        pytest.skip(found.stderr.strip())
    assert found.returncode == 0, found.stderr
    return Path(found.stdout.strip()).read_text()
