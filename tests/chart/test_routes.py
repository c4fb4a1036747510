"""What stands before and around the pods: Services, HTTPRoute, Ingress, autoscalers, policies, monitors."""

from __future__ import annotations

import pytest
from scripts.chart.helm import RenderFailed, render
from tests.chart.charts import CHART, EVERYTHING, EXTERNAL, chart, found, one

CI = CHART / "ci"


def test_the_client_port_is_apart_from_the_internal_one() -> None:
    """The Service for clients has the client port alone; the internal one is reached pod by pod, inside the
    cluster.
    """
    rendered = chart(EXTERNAL)
    assert [port["targetPort"] for port in one(rendered, "Service", "-gateway")["spec"]["ports"]] == ["ws"]
    internal = one(rendered, "Service", "-gateway-internal")["spec"]
    assert internal["clusterIP"] == "None"
    assert [port["targetPort"] for port in internal["ports"]] == ["internal"]
    for values in ("keda-values.yaml", "everything-values.yaml"):
        exposed = [
            each
            for each in found(chart(CI / values), "Service")
            if each["spec"].get("type", "ClusterIP") != "ClusterIP"
        ]
        assert [each["metadata"]["name"].endswith("-gateway") for each in exposed] == [True]


def test_the_route_has_no_timeouts() -> None:
    """A WebSocket's life is no request that may time out: both time-outs of the HTTPRoute are off."""
    route = one(chart(CI / "gateway-api-values.yaml"), "HTTPRoute")["spec"]
    [rule] = route["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["matches"] == [
        {"path": {"type": "PathPrefix", "value": "/ws"}},
        {"path": {"type": "Exact", "value": "/sse"}},
        {"path": {"type": "Exact", "value": "/publish"}},
    ]
    assert rule["backendRefs"] == [{"name": "warren-gateway", "port": 80}]
    assert route["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
    assert "timeouts" not in one(chart(EVERYTHING), "HTTPRoute")["spec"]["rules"][0]


@pytest.mark.parametrize(
    ("controller", "annotations"),
    [
        ("haproxy", {"haproxy-ingress.github.io/timeout-tunnel": "3600s"}),
        ("haproxytech", {"haproxy.org/timeout-tunnel": "3600s"}),
        (
            "nginx",
            {
                "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
                "nginx.ingress.kubernetes.io/proxy-send-timeout": "3600",
            },
        ),
        (
            "f5-nginx",
            {
                "nginx.org/proxy-read-timeout": "3600s",
                "nginx.org/proxy-send-timeout": "3600s",
                "nginx.org/websocket-services": "warren-gateway",
            },
        ),
        ("", None),
    ],
)
def test_the_ingress_holds_connections(controller: str, annotations: dict[str, str] | None) -> None:
    """Each controller gets the time-out for WebSockets in its own words."""
    ingress = one(
        chart(EXTERNAL, f'gateway.ingress={{"enabled":true,"controller":"{controller}"}}'), "Ingress"
    )
    assert ingress["metadata"].get("annotations") == annotations


def test_own_annotations_go_before_the_controllers() -> None:
    """What the user sets stays, and what he does not set is there."""
    annotations = one(chart(EVERYTHING), "Ingress")["metadata"]["annotations"]
    assert annotations["nginx.org/proxy-read-timeout"] == "7200s"
    assert annotations["nginx.org/proxy-send-timeout"] == "3600s"


def test_each_host_leads_to_the_gateways() -> None:
    """An Ingress has one rule for each host, and one for any host where none is given; event streams and
    posts go there too, unless that is not wanted, and the Pusher protocol where it is served.
    """
    rules = one(chart(CI / "ingress-values.yaml"), "Ingress")["spec"]["rules"]
    assert [rule["host"] for rule in rules] == ["chat.example.com", "www.example.com"]
    [any_host] = one(chart(EVERYTHING), "Ingress")["spec"]["rules"]
    assert "host" not in any_host
    for rule in rules:
        assert [(path["path"], path["pathType"]) for path in rule["http"]["paths"]] == [
            ("/ws", "Prefix"),
            ("/sse", "Exact"),
            ("/publish", "Exact"),
        ]
    assert [path["path"] for path in any_host["http"]["paths"]] == ["/ws", "/app"]
    for rule in [*rules, any_host]:
        for path in rule["http"]["paths"]:
            assert path["backend"]["service"]["port"] == {"name": "ws"}


def test_the_hpa_scales_by_cpu_and_connections() -> None:
    """Both metrics are there, and one pod goes at a time, slower than a drain takes."""
    rendered = chart(CI / "ingress-values.yaml")
    spec = one(rendered, "HorizontalPodAutoscaler")["spec"]
    assert spec["scaleTargetRef"]["name"] == one(rendered, "Deployment", "-gateway")["metadata"]["name"]
    cpu, connections = spec["metrics"]
    assert cpu["resource"]["target"]["averageUtilization"] == 60
    assert connections["pods"]["metric"]["name"] == "warren_gateway_connections"
    assert connections["pods"]["target"]["averageValue"] == "7000"
    [policy] = spec["behavior"]["scaleDown"]["policies"]
    assert (policy["type"], policy["value"]) == ("Pods", 1)
    grace = one(rendered, "Deployment", "-gateway")["spec"]["template"]["spec"][
        "terminationGracePeriodSeconds"
    ]
    assert grace <= policy["periodSeconds"] <= 1800


def test_keda_counts_the_releases_connections() -> None:
    """KEDA asks for the sum over this release's pods, and takes a query of one's own instead."""
    spec = one(chart(CI / "keda-values.yaml"), "ScaledObject")["spec"]
    cpu, connections = spec["triggers"]
    assert cpu == {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}}
    assert connections["metadata"] == {
        "serverAddress": "http://prometheus.monitoring:9090",
        "query": 'sum(warren_gateway_connections{namespace="default", pod=~"warren-gateway-.*"})',
        "threshold": "7000",
    }
    assert one(chart(EVERYTHING), "ScaledObject")["spec"]["triggers"][1]["metadata"]["query"] == "sum(mine)"


def test_the_metric_to_scale_by_exists() -> None:
    """The autoscalers ask for a metric that gateways have."""
    from warren.metrics import GatewayMetrics

    text, _ = GatewayMetrics().render()
    assert b"\nwarren_gateway_connections " in text


def test_a_budget_does_not_hold_pods_that_are_not_ready() -> None:
    """While the broker is away nobody is ready, and nodes can be drained all the same."""
    for each in found(chart(EXTERNAL), "PodDisruptionBudget"):
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert each["spec"]["maxUnavailable"] == 1


def test_policies_keep_clients_off_the_internal_ports() -> None:
    """Clients reach the gateways' client port alone, routers nobody reaches but who may see metrics, and the
    trial's node only the services.
    """
    rendered = chart(EVERYTHING)
    gateway = one(rendered, "NetworkPolicy", "-gateway")["spec"]
    clients, internal = gateway["ingress"]
    assert clients["ports"] == [{"port": "ws", "protocol": "TCP"}]
    assert clients["from"][0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "ingress"
    }
    assert internal["ports"] == [{"port": "internal", "protocol": "TCP"}]
    api, router = one(rendered, "NetworkPolicy", "-router")["spec"]["ingress"]
    assert router["ports"] == [{"port": "internal", "protocol": "TCP"}]
    assert api["ports"] == [{"port": "api", "protocol": "TCP"}]
    [backends] = api["from"]
    assert backends["podSelector"]["matchLabels"] == {"app": "shop"}
    [broker] = one(rendered, "NetworkPolicy", "-rabbitmq")["spec"]["ingress"]
    components = [
        each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in broker["from"]
    ]
    assert components == ["gateway", "router"]


def test_nobody_reaches_the_http_api_who_is_not_named() -> None:
    """With a policy somebody must be named; without the API its port is in no rule."""
    api = ["router.api.enabled=true", 'router.api.existingSecret="keys"']
    with pytest.raises(RenderFailed, match=r"networkPolicy\.apiFrom: router\.api\.enabled is set"):
        render([EXTERNAL], [*api, "networkPolicy.enabled=true"])
    render([EXTERNAL], api)
    policy = one(chart(EXTERNAL, "networkPolicy.enabled=true"), "NetworkPolicy", "-router")["spec"]
    assert [rule["ports"][0]["port"] for rule in policy["ingress"]] == ["internal"]


def test_egress_allows_what_is_used() -> None:
    """DNS, the broker, and the ports of the collector and of the JWK set, where there are such."""

    def ports(values: str, component: str) -> set[int]:
        policy = one(chart(CI / values), "NetworkPolicy", f"-{component}")["spec"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        return {port["port"] for rule in policy["egress"] for port in rule["ports"]}

    assert ports("operator-values.yaml", "gateway") == {53, 5672, 5671, 443}
    assert ports("operator-values.yaml", "router") == {53, 5672, 5671}
    assert ports("everything-values.yaml", "router") == {53, 5672, 5671, 8125, 443}
    policy = one(
        chart(CI / "operator-values.yaml", 'tracing.endpoint="http://collector:4318"'),
        "NetworkPolicy",
        "-router",
    )
    assert {"port": 4318, "protocol": "TCP"} in policy["spec"]["egress"][-1]["ports"]


@pytest.mark.parametrize(
    ("values", "kind"), [("operator-values.yaml", "ServiceMonitor"), ("everything-values.yaml", "PodMonitor")]
)
def test_monitors_scrape_the_internal_port(values: str, kind: str) -> None:
    """Both services are scraped once, by their internal port."""
    monitors = found(chart(CI / values), kind)
    assert len(monitors) == 2
    for each in monitors:
        [endpoint] = each["spec"]["endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"]
        assert (endpoint["port"], endpoint["path"]) == ("internal", "/metrics")


def test_a_message_is_tested_wherever_a_token_can_be_had() -> None:
    """`helm test` sends its message with a token that it signs or is given, and leaves it where it has
    neither.
    """

    def tests(values: str, *sets: str) -> set[str]:
        return {each["metadata"]["name"] for each in found(chart(CI / values, *sets), "Pod")}

    both = {"warren-test-message", "warren-test-probes"}
    assert tests("external-values.yaml") == both
    assert tests("trial-values.yaml") == both
    assert tests("operator-values.yaml") == {"warren-test-probes"}
    assert tests("operator-values.yaml", 'tests.tokenSecret="token"') == both
    assert tests("external-values.yaml", "tests.enabled=false") == set()


def test_tls_to_the_operators_broker() -> None:
    """With the nodes' certificate named, the services connect by TLS and check it by the authority that is
    mounted.
    """
    rendered = chart(CI / "operator-values.yaml")
    [gateway] = one(rendered, "Deployment", "-gateway")["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry.get("value", "") for entry in gateway["env"]}
    assert env["WARREN_AMQP_URL"].startswith("amqps://")
    assert env["WARREN_AMQP_CA_FILE"] == "/etc/warren/amqp-ca/ca.crt"
    assert {"name": "amqp-ca", "mountPath": "/etc/warren/amqp-ca", "readOnly": True} in gateway[
        "volumeMounts"
    ]
    assert one(rendered, "RabbitmqCluster")["spec"]["tls"] == {"secretName": "broker-tls"}
