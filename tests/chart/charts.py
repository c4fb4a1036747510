"""The chart rendered, as objects to look at: once for each set of values, however many tests ask."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from scripts.chart.helm import CHART, KUBE_VERSION, objects, render

CI = tuple(sorted((CHART / "ci").glob("*.yaml")))
VALUES = (*CI, CHART / "values-prod.yaml", CHART / "values-trial.yaml")
EVERYTHING = CHART / "ci" / "everything-values.yaml"
EXTERNAL = CHART / "ci" / "external-values.yaml"

Object = dict[str, Any]


def names(paths: tuple[Path, ...]) -> list[str]:
    """Return what pytest shows for values files."""
    return [path.stem for path in paths]


@cache
def chart(
    values: Path,
    *sets: str,
    kube_version: str = KUBE_VERSION,
    release: str = "warren",
    cluster: tuple[str, ...] | None = None,
) -> tuple[Object, ...]:
    """Return the objects rendered with a values file and ``path=JSON`` pairs; for a cluster that knows these
    kinds besides Kubernetes's own (``group/version/Kind``), where it is not None.
    """
    options = [] if cluster is None else [f"--api-versions={','.join(('v1/Pod', *cluster))}"]
    return tuple(objects(render([values], sets, kube_version=kube_version, release=release, options=options)))


def found(rendered: tuple[Object, ...], kind: str, ends: str = "") -> list[Object]:
    """Return the objects of a kind whose names end so."""
    return [each for each in rendered if each["kind"] == kind and each["metadata"]["name"].endswith(ends)]


def one(rendered: tuple[Object, ...], kind: str, ends: str = "") -> Object:
    """Return the only object of a kind whose name ends so."""
    [only] = found(rendered, kind, ends)
    return only


def pod_specs(rendered: tuple[Object, ...]) -> Iterator[tuple[str, Object]]:
    """Yield (name, pod spec) of everything that runs pods."""
    for each in rendered:
        if each["kind"] in ("Deployment", "StatefulSet"):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield each["metadata"]["name"], each["spec"]


def container(rendered: tuple[Object, ...], component: str) -> Object:
    """Return the container of a component's Deployment."""
    [only] = one(rendered, "Deployment", f"-{component}")["spec"]["template"]["spec"]["containers"]
    return only


def environment(rendered: tuple[Object, ...], component: str) -> dict[str, Any]:
    """Return a component's environment by name: the text, or what ``valueFrom`` says."""
    entries = container(rendered, component)["env"]
    by_name = {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in entries}
    assert len(by_name) == len(entries), "a variable is set twice"
    return by_name
