"""Every object of every values file is taken by a real API server, custom resources by their projects' own
definitions.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from scripts.chart.helm import CHART, objects, render
from tests.chart.charts import VALUES, names
from tests.k8s.cluster import CommandFailed, Space, eventually_in

pytestmark = pytest.mark.k8s

KINDS = ("HTTPRoute", "ScaledObject", "PodMonitor", "ServiceMonitor", "PrometheusRule")


def definitions() -> list[dict]:
    """Return the definitions of the custom resources that the chart makes, from the projects that
    WARREN_TEST_CRDS names.
    """
    found: dict[str, dict] = {}
    for folder in filter(None, os.environ.get("WARREN_TEST_CRDS", "").split(":")):
        for kind in KINDS:
            for path in sorted(Path(folder).rglob(f"*_{kind.lower()}s.yaml")):
                text = path.read_text()
                if "kind: CustomResourceDefinition" in text and "/experimental/" not in str(path):
                    found.setdefault(kind, next(each for each in yaml.safe_load_all(text) if each))
    return list(found.values())


@pytest.fixture(scope="module")
def custom() -> set[str]:
    """Put the definitions into the cluster, where it has none of its own; return the kinds that it knows."""
    space = Space()
    try:
        for each in definitions():
            try:
                space.kubectl("get", "crd", each["metadata"]["name"], namespaced=False)
            except CommandFailed:
                # by create: apply would copy them into an annotation that is too small for them
                space.kubectl("create", "-f", "-", text=json.dumps(each), namespaced=False)
                name = f"crd/{each['metadata']['name']}"
                # it fails, instead of waiting, where the definition has no status yet
                eventually_in(
                    60,
                    f"{name} is established",
                    lambda name=name: space.kubectl(
                        "wait", "--for=condition=Established", name, "--timeout=10s", namespaced=False
                    ),
                )
        return set(space.kubectl("api-resources", "-o", "name", namespaced=False).split())
    finally:
        space.close()


def test_a_cluster_without_the_operator_is_installed_without_monitors(space: Space) -> None:
    """The values for production go onto a plain cluster: what it does not know is left out, and the notes say
    what. It comes before the definitions are put into the cluster.
    """
    if "podmonitors.monitoring" in space.kubectl("api-resources", "-o", "name", namespaced=False):
        pytest.skip("the cluster knows PodMonitor")
    said = space.helm(
        "install", "warren", str(CHART), "--dry-run=server", "--values", str(CHART / "values-prod.yaml")
    )
    assert "kind: PodMonitor" not in said
    assert "NOT MONITORED: this cluster does not know PodMonitor (monitoring.kind)" in said


def test_a_broker_that_the_cluster_can_not_make_is_refused(space: Space) -> None:
    """Where there is no cluster operator, the render says so before anything is installed."""
    if "rabbitmqclusters" in space.kubectl("api-resources", "-o", "name", namespaced=False):
        pytest.skip("the cluster knows RabbitmqCluster")
    with pytest.raises(CommandFailed, match="the cluster knows no RabbitmqCluster"):
        space.helm("install", "warren", str(CHART), "--values", str(CHART / "ci" / "operator-values.yaml"))


@pytest.mark.parametrize("values", VALUES, ids=names(VALUES))
def test_the_api_server_takes_each_object(values: Path, space: Space, custom: set[str]) -> None:
    """`kubectl apply --dry-run=server --validate=strict` takes every object whose kind the cluster knows."""
    rendered = objects(render([values], options=["--namespace", space.name]))
    families = space.kubectl(
        "get", "service", "kubernetes", "-n", "default", "-o", "jsonpath={.spec.ipFamilies}", namespaced=False
    )
    if "IPv6" not in families:
        for each in rendered:
            if each["spec"].pop("ipFamilies", None) if each["kind"] == "Service" else None:
                sys.stdout.write(
                    f"{values.stem}: the families of {each['metadata']['name']} are not this cluster's\n"
                )
    known = [each for each in rendered if _resource(each) in custom]
    unknown = sorted({each["kind"] for each in rendered} - {each["kind"] for each in known})
    assert set(unknown) <= {*KINDS, "RabbitmqCluster"}
    if unknown:
        sys.stdout.write(f"{values.stem}: no definition of {', '.join(unknown)} could be had\n")
    if os.environ.get("WARREN_TEST_CRDS"):
        assert set(unknown) <= {"RabbitmqCluster"}
    # a pod is refused, even on trial, without its account
    space.apply(*(each for each in known if each["kind"] == "ServiceAccount"))
    said = space.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", text=yaml.safe_dump_all(known)
    )
    assert len(said.splitlines()) == len(known) >= 7, said


def test_the_dry_run_would_notice(space: Space, custom: set[str]) -> None:
    """A field that a custom resource's definition does not have is refused."""
    if "httproutes.gateway.networking.k8s.io" not in custom:
        pytest.skip("the cluster has no Gateway API")
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "wrong"},
        "spec": {"timeout": "1s"},
    }
    with pytest.raises(CommandFailed, match="unknown field"):
        space.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", text=json.dumps(route))


def _resource(each: dict) -> str:
    group = each["apiVersion"].rpartition("/")[0]
    plural = each["kind"].lower() + ("ies" if each["kind"].endswith("y") else "s")
    plural = {
        "networkpolicys": "networkpolicies",
        "networkpolicyies": "networkpolicies",
        "ingresss": "ingresses",
    }.get(plural, plural)
    return f"{plural}.{group}" if group else plural
