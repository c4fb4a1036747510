"""Makes what the repository holds of the chart's making: deploy/k8s/manifests, the chart's version, its table
of values, its copies of the alerts and dashboards, its schema of namespaces, and the broker's definitions.

``python -m scripts.chart.chart_files`` writes them, ``--check`` says where they differ and fails. It needs
Helm, and talks to no cluster.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from scripts.chart.amqp_definitions import as_text, backend_definitions, definitions
from scripts.chart.broker_users import backends
from scripts.chart.helm import CHART, HelmMissing, RenderFailed, render

from warren import __version__, namespaces
from warren.topology import Topology

K8S = CHART.parent
OBSERVABILITY = K8S.parent / "observability"
FILES = CHART / "files"
MANIFESTS = K8S / "manifests"
NOTE = (
    "# Made by `make manifests` from the chart in ../warren, with the values in rendered-with.values; "
    "change those instead.\n"
)
BEGIN, END = "<!-- values: made by `make manifests` from values.yaml -->", "<!-- end of values -->"
# What only Helm needs to know.
_HELM_ONLY = re.compile(
    r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n|^# Source: .*\n", re.MULTILINE
)
_KEY = re.compile(r"^(?P<indent> *)(?:- )?(?P<key>[A-Za-z][A-Za-z0-9]*):(?P<value>.*)$")
_COMMENT = re.compile(r"^ *# (?P<path>[A-Za-z][A-Za-z0-9.]*): (?P<text>.+)$")


def manifests() -> dict[Path, str]:
    """Return the plain manifests: one file for each component, one for what both share, and the list of them
    for kustomize.
    """
    text = _HELM_ONLY.sub("", render([MANIFESTS / "rendered-with.values"]))
    files: dict[str, list[str]] = {}
    for document in re.split(r"^---\n", text, flags=re.MULTILINE):
        if not document.strip():
            continue
        labels = yaml.safe_load(document)["metadata"].get("labels", {})
        files.setdefault(f"{labels.get('app.kubernetes.io/component', 'shared')}.yaml", []).append(
            document.strip() + "\n"
        )
    made = {MANIFESTS / name: NOTE + "---\n".join(documents) for name, documents in sorted(files.items())}
    # With this name `kubectl apply -k` finds it, and `kubectl apply -f` of the folder leaves it alone.
    made[MANIFESTS / "Kustomization"] = (
        NOTE
        + "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
        + "".join(f"  - {name}\n" for name in sorted(files))
    )
    return made


@dataclass(frozen=True, slots=True)
class Value:
    """One documented value of the chart."""

    path: str
    default: str
    meaning: str


def documented(text: str) -> Iterator[Value]:
    """Yield each value of values.yaml that has a comment, with its default as it is written there, on one
    line.
    """
    defaults = yaml.safe_load(text)
    comment: tuple[str, str] | None = None
    for line in text.splitlines():
        if found := _COMMENT.match(line):
            comment = found["path"], found["text"]
        elif comment is not None and _KEY.match(line):
            value = defaults
            for part in comment[0].split("."):
                value = value[part]
            shown = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
            yield Value(comment[0], shown if shown not in ("''", "null") else "", comment[1])
            comment = None


def readme() -> dict[Path, str]:
    """Return the chart's README with its table of values made anew."""
    path = CHART / "README.md"
    head, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    rows = [
        f"| `{value.path}` | {f'`{value.default}`' if value.default else ''} | "
        f"{value.meaning.replace('|', chr(92) + '|')} |"
        for value in documented((CHART / "values.yaml").read_text(encoding="utf-8"))
    ]
    return {
        path: "\n".join(
            [head + BEGIN, "| value | default | meaning |", "| --- | --- | --- |", *rows, END + tail]
        )
    }


def metadata() -> dict[Path, str]:
    """Return Chart.yaml with the version of what it installs, which is its own too."""
    path = CHART / "Chart.yaml"
    text = path.read_text(encoding="utf-8")
    for key, value in (("version", __version__), ("appVersion", f'"{__version__}"')):
        text = re.sub(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
    return {path: text}


def schema() -> dict[Path, str]:
    """Return the chart's schema, its part for the namespace file made anew."""
    path = CHART / "values.schema.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    whole["properties"] |= namespaces.file_schema()["properties"]
    return {path: json.dumps(whole, indent=2, ensure_ascii=False) + "\n"}


def broker() -> dict[Path, str]:
    """Return what is imported into a broker: the topology with the services' user, and one user for each kind
    of backend.
    """
    topology, folder = Topology(), K8S / "rabbitmq"
    users = backend_definitions(backends(topology), topology.prefix)
    return {
        folder / "definitions.json": as_text(definitions(topology)),
        folder / "backend-users.json": as_text(users),
    }


def observability() -> dict[Path, str]:
    """Return what the chart carries of deploy/observability, since a chart's templates see the files of its
    own folder alone.
    """
    rules = (OBSERVABILITY / "alerts.yaml").read_text(encoding="utf-8")
    made = {FILES / "alerts.yaml": rules[rules.index("groups:") :]}
    for path in sorted((OBSERVABILITY / "dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        compact = json.dumps(dashboard, ensure_ascii=False, separators=(",", ":"))
        made[FILES / "dashboards" / path.name] = compact + "\n"
    return made


def main(arguments: list[str]) -> int:
    """Write the files, or compare them."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: scripts/chart/manifests [--check]\n")
        return 2
    check = bool(arguments)
    # what Helm reads of the chart comes before what it renders
    made = {**metadata(), **schema(), **observability()}
    differing = sum([_put(path, text, check=check) for path, text in made.items()])
    try:
        rendered = {**manifests(), **readme(), **broker()}
    except (HelmMissing, RenderFailed) as error:
        sys.stderr.write(f"manifests: {error}\n")
        return 1
    differing += sum([_put(path, text, check=check) for path, text in rendered.items()])
    made |= rendered
    stale = {path for path in [*MANIFESTS.glob("*.yaml"), *FILES.glob("dashboards/*")] if path not in made}
    for path in stale:
        sys.stderr.write(f"{path.name} in {path.parent.name} is nothing that the chart makes; remove it\n")
    return 1 if (check and differing) or stale else 0


def _put(path: Path, text: str, *, check: bool) -> bool:
    """Write a file, or tell how it differs; return whether it differed."""
    found = path.read_text(encoding="utf-8") if path.exists() else ""
    if found == text:
        return False
    name = path.relative_to(K8S.parent.parent).as_posix()
    if check:
        sys.stderr.write(f"{name} is not what the chart says; run make manifests\n")
        lines = difflib.unified_diff(found.splitlines(), text.splitlines(), name, "the chart", lineterm="")
        sys.stderr.writelines(f"{line}\n" for line in list(lines)[:40])
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name} made\n")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
