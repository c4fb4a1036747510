"""Values that don't fit each other fail the render, with a message that says what to do."""

from __future__ import annotations

import re

import pytest
from scripts.chart.helm import CHART, RenderFailed, render
from tests.chart.charts import EXTERNAL, VALUES, chart, one

BAD = {
    # what is given besides external-values.yaml ▶ what the message says
    'rabbitmq.existingSecret=""': "rabbitmq.existingSecret: the secret with the broker's address is missing",
    'rabbitmq.mode="trial"': "rabbitmq.existingSecret: is not used with rabbitmq.mode=trial",
    'rabbitmq={"mode":"operator","existingSecret":"","operator":{"create":false}}': "rabbitmq.operator.name: name the",
    'rabbitmq={"mode":"operator","existingSecret":"","operator":{"replicas":4}}': "take an odd number",
    'rabbitmq={"mode":"trial","existingSecret":"","caSecret":"ca"}': "the trial node has no TLS",
    'gateway.auth.existingSecret=""': "gateway.auth: tokens need a key",
    'gateway.auth.mode="anonymous"': "nobody is asked for a token",
    "gateway.drain.windowSeconds=29": "gateway.drain.deadlineSeconds: 30 is too short",
    "gateway.terminationGracePeriodSeconds=44": r"44 is less than pause \(5\) \+ drain deadline \(30\) \+ "
    r"10 = 45",
    "router.terminationGracePeriodSeconds=24": r"24 is less than the stop deadline \(15\) \+ 10 = 25",
    "router.replicas=5": "5 routers share 2 shards",
    "gateway.replicas=13": r"logBytes: 17 gateways .* 16777216 bytes each .* keeps 251658240; give "
    r"logBytes 304226851 or more",
    'gateway.autoscaling={"kind":"hpa","minReplicas":2,"maxReplicas":13}': "logBytes: 17 gateways",
    'gateway.settings={"WARREN_GATEWAY_UPLINK_BYTES":83886081}': "logBytes: 3 gateways",
    "gateway.maxSurge=14": "logBytes: 16 gateways",
    'router.settings={"WARREN_ROUTER_HISTORY_BYTES":134217729}': "logBytes: 268435456 is less than twice "
    "WARREN_ROUTER_HISTORY_BYTES .134217729",
    'gateway.autoscaling={"kind":"hpa","minReplicas":5,"maxReplicas":4}': "minReplicas 5 is more than maxReplicas 4",
    'gateway.autoscaling={"kind":"keda","minReplicas":5,"maxReplicas":4}': "minReplicas 5 is more than maxReplicas 4",
    'gateway.autoscaling={"kind":"hpa","cpuPercent":0}': "nothing to scale by",
    'gateway.autoscaling={"kind":"hpa","connections":10001}': "pods take 10000 connections",
    'gateway.autoscaling={"kind":"keda","connections":100}': "gateway.autoscaling.prometheus: KEDA counts",
    "gateway.httpRoute.enabled=true": "gateway.httpRoute.parentRefs: name the Gateway",
    'gateway.settings={"WARREN_GATEWAY_DRAIN_MS":1}': "WARREN_GATEWAY_DRAIN_MS is set by the chart",
    'router.settings={"WARREN_ROUTER_EVENTS":"-"}': "WARREN_ROUTER_EVENTS is set by the chart",
    "router.api.enabled=true": "router.api.existingSecret: the secret with the keys of the HTTP API is missing",
    'router.api.existingSecret="keys"': "router.api.enabled=false there is no HTTP API",
    'router.settings={"WARREN_ROUTER_API_PORT":1}': "WARREN_ROUTER_API_PORT is set by the chart",
    'gateway.settings={"WARREN_GATEWAY_GRANT_KEYS":"x"}': "WARREN_GATEWAY_GRANT_KEYS is set by the chart",
    # what the schema refuses
    "router.api.port=0": "minimum",
    'router.api.existingsecret="keys"': "existingsecret",
    'services=[{"pattern":"orders.*","timeout":1}]': "timeout",
    'services=[{"pattern":"orders.*","call":"members"}]': "call",
    'hooks=["join"]': "hooks",
    'gateway.settings={"WARREN_ROUTER_PREFETCH":1}': "WARREN_ROUTER_PREFETCH",
    "gateway.replica=3": "replica",
    "shards=0": "minimum",
    'rabbitmq.mode="bundled"': "rabbitmq/mode",
    'gateway.ingress.timeoutSeconds="1h"': "gateway/ingress/timeoutSeconds",
    "gateway.ingress.timeoutSeconds=30": "minimum",
    'gateway.topologySpread=[{"topologyKey":"zone"}]': "maxSkew",
}


@pytest.mark.parametrize("given", BAD)
def test_what_does_not_fit_is_refused(given: str) -> None:
    """The render fails and names the value."""
    with pytest.raises(RenderFailed) as refused:
        render([EXTERNAL], [given])
    assert re.search(BAD[given], str(refused.value)), str(refused.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """With no values at all both missing secrets are named, and how to go without."""
    with pytest.raises(RenderFailed) as refused:
        render()
    said = str(refused.value)
    assert "rabbitmq.existingSecret" in said
    assert "gateway.auth" in said
    assert "rabbitmq.mode=trial" in said


@pytest.mark.parametrize(
    "given",
    [
        "gateway.terminationGracePeriodSeconds=45",
        "router.terminationGracePeriodSeconds=25",
        "router.replicas=2",
        "gateway.replicas=12",  # and three more in a rollout
        "gateway.maxSurge=13",
        'gateway.settings={"WARREN_GATEWAY_UPLINK_BYTES":"83886080"}',
        'router.settings={"WARREN_ROUTER_HISTORY_BYTES":134217728}',
        "gateway.drain.windowSeconds=28",
        'gateway.autoscaling={"kind":"hpa","minReplicas":4,"maxReplicas":4,"connections":10000}',
    ],
)
def test_what_just_fits_is_taken(given: str) -> None:
    """The bounds are where the messages say."""
    render([EXTERNAL], [given])


def test_the_grace_period_follows_the_drain() -> None:
    """Where none is given it is the pause, the drain's deadline and ten seconds."""
    for values in VALUES:
        rendered = chart(values)
        spec = one(rendered, "Deployment", "-gateway")["spec"]["template"]["spec"]
        [gateway] = spec["containers"]
        environment = {entry["name"]: entry.get("value") for entry in gateway["env"]}
        pause_s = gateway["lifecycle"]["preStop"]["sleep"]["seconds"]
        deadline_s = int(environment["WARREN_GATEWAY_DRAIN_DEADLINE_MS"]) / 1_000
        assert spec["terminationGracePeriodSeconds"] >= pause_s + deadline_s + 10


def test_a_pause_of_nothing_is_no_hook() -> None:
    """Without a pause there is no preStop hook (a sleep of 0 s is refused by older versions)."""
    rendered = chart(EXTERNAL, "gateway.drain.pauseSeconds=0")
    assert (
        "lifecycle"
        not in one(rendered, "Deployment", "-gateway")["spec"]["template"]["spec"]["containers"][0]
    )


def test_before_1_30_the_pause_is_a_command() -> None:
    """Kubernetes without the sleep action runs one that the image has."""
    rendered = chart(EXTERNAL, kube_version="1.29")
    [gateway] = one(rendered, "Deployment", "-gateway")["spec"]["template"]["spec"]["containers"]
    assert gateway["lifecycle"]["preStop"]["exec"]["command"] == [
        "python",
        "-c",
        "import time; time.sleep(5)",
    ]


def test_an_unknown_version_of_kubernetes_is_refused() -> None:
    """Chart.yaml says from which version on it is known to work."""
    with pytest.raises(RenderFailed, match=r"1\.24"):
        render([EXTERNAL], kube_version="1.24")
    assert (CHART / "Chart.yaml").read_text().count("kubeVersion") == 1
