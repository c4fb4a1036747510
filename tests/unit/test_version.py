"""The version stands in one place, ``warren.__version__``; what has to repeat it says the same."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from warren import __version__

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(
    path.parent
    for folder in ("libs", "services", "tools", "clients")
    for path in ROOT.glob(f"{folder}/*/pyproject.toml")
)


def test_it_is_a_semantic_version() -> None:
    """Three numbers, and what comes before a release behind a hyphen."""
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[0-9a-z.]+)?", __version__)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)
def test_each_member_takes_it_from_there(member: Path) -> None:
    """A member's package has the version of the source; one that is built without the repository around it
    repeats it.
    """
    described = tomllib.loads((member / "pyproject.toml").read_text())
    assert "version" not in described["project"]
    assert described["project"]["dynamic"] == ["version"]
    source = member / described["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.*)"$', source.read_text(), re.MULTILINE) == [__version__]


def test_the_chart_has_it() -> None:
    """The chart and the images that it installs are released together (``make manifests`` writes both)."""
    described = yaml.safe_load((ROOT / "deploy/k8s/warren/Chart.yaml").read_text())
    assert (described["version"], described["appVersion"]) == (__version__, __version__)


def test_the_javascript_client_has_it() -> None:
    """Its package is released with the rest."""
    assert json.loads((ROOT / "clients/js/package.json").read_text())["version"] == __version__


def test_no_image_has_one_of_its_own() -> None:
    """The Dockerfile is told the version when it is built."""
    assert re.findall(r"VERSION=[\"']?\d.*", (ROOT / "Dockerfile").read_text()) == []
