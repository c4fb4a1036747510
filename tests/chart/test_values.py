"""values.yaml: each value is described where it stands, is known to the schema, and is in the README."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from scripts.chart.chart_files import documented, main
from scripts.chart.helm import CHART

DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path


def test_each_value_has_a_comment_that_begins_with_its_name() -> None:
    """No value is without a description, its own or that of the map that it is in; none is
    described twice.
    """
    described = [value.path for value in documented((CHART / "values.yaml").read_text())]
    assert len(described) == len(set(described))
    silent = [
        path
        for path in leaves(DEFAULTS)
        if not any(path == name or path.startswith(f"{name}.") for name in described)
    ]
    assert silent == []


def test_every_comment_stands_above_its_value() -> None:
    """A comment's path is that of the key below it."""
    text = (CHART / "values.yaml").read_text().splitlines()
    wrong = []
    for number, line in enumerate(text):
        stripped = line.strip()
        if (
            stripped.startswith("# ")
            and (path := stripped[2:].partition(":")[0]).replace(".", "").isalnum()
            and ": " in stripped
        ):
            below = text[number + 1].strip()
            if not below.startswith(f"{path.split('.')[-1]}:"):
                wrong.append(f"{path} above {below}")
    assert wrong == []


def test_the_schema_knows_exactly_the_values_that_there_are() -> None:
    """A value that is misspelt is refused, and none that exists is missing from the schema."""

    def compare(schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
        if "properties" not in schema or not isinstance(value, dict):
            return
        known, there = set(schema["properties"]), set(value)
        # a parent chart's globals come too
        if schema.get("additionalProperties") is not False and path != ".global":
            yield f"{path}: takes anything"
        yield from (f"{path}.{name}: only in one of both" for name in known ^ there)
        for name in known & there:
            yield from compare(schema["properties"][name], value[name], f"{path}.{name}")

    assert list(compare(SCHEMA, DEFAULTS, "")) == []


def test_files_made_from_the_chart_are_in_step(capsys: pytest.CaptureFixture[str]) -> None:
    """The manifests, the README's table and the broker's definitions are what the chart and the
    code say now.
    """
    assert main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", ["check_probes.py", "check_message.py"])
def test_the_scripts_of_helm_test_need_the_gateways_image_alone(name: str) -> None:
    """They import nothing but Python's own modules, aiohttp and PyJWT, which the gateway has."""
    tree = ast.parse((CHART / "files" / name).read_text())
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) <= {"aiohttp", "jwt"}


def test_kustomize_takes_the_manifests() -> None:
    """`kubectl kustomize` builds deploy/k8s/manifests, and all objects of the files are in it."""
    folder = CHART.parent / "manifests"
    try:
        done = subprocess.run(
            ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("kubectl is not installed")
    assert done.returncode == 0, done.stderr

    def identities(text: str) -> set[tuple[str, str]]:
        return {(each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(text) if each}

    assert identities(done.stdout) == {
        found for path in folder.glob("*.yaml") for found in identities(path.read_text())
    }
    assert "Helm" not in done.stdout
