"""Every object that the chart can make is what Kubernetes's own API takes, in several of its versions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import kubernetes_validate
import kubernetes_validate.utils
import pytest
from tests.chart.charts import CI, VALUES, chart, names, one

# The oldest that the chart takes, those around each feature that it asks the version for, and the newest that
# there is a schema of.
VERSIONS = ("1.25", "1.26", "1.27", "1.29", "1.30", "1.34", "1.37")
# Custom resources are checked against their definitions on a cluster (tests/k8s).
CUSTOM = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("rabbitmq.com/v1beta1", "RabbitmqCluster"),
}


@pytest.fixture(scope="module", autouse=True)
def _schemas_are_read_once() -> Iterator[None]:
    """The library reads the schemas of a whole version anew for each object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents)
        )
        yield


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", VALUES, ids=names(VALUES))
def test_each_object_is_valid(values: Path, version: str) -> None:
    """Each object fits the schema of its kind in that version of Kubernetes, with no field that it does not
    know.
    """
    checked = 0
    for each in chart(values, kube_version=version):
        if (each["apiVersion"], each["kind"]) not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)
            checked += 1
    assert checked >= 7


def test_the_ci_values_render_every_kind() -> None:
    """Together the values files of ci/ make each kind of object that the templates have, so that each is
    validated.
    """
    kinds = {each["kind"] for values in CI for each in chart(values)}
    assert kinds == {kind for _, kind in CUSTOM} | {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "Secret",
        "Service",
        "ServiceAccount",
        "StatefulSet",
    }


def test_validation_would_notice() -> None:
    """A field that Kubernetes does not know, or not yet, is refused: the check above is none that always
    passes.
    """
    deployment = one(chart(CI[0], kube_version="1.30"), "Deployment", "-gateway")
    with pytest.raises(kubernetes_validate.ValidationError, match="sleep"):
        kubernetes_validate.validate(deployment, "1.25", strict=True)
