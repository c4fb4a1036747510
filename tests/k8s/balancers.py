"""nginx and haproxy in a pod, in the ingress controller's place, configured by what docs/examples tells
users.
"""

from __future__ import annotations

import re

from tests.k8s.cluster import ROOT, TOOLS, Space

EXAMPLES = ROOT / "docs" / "examples"


def nginx(space: Space) -> None:
    """Run nginx before the gateways' Service, which Kubernetes balances; it is ``nginx:8080``."""
    text = (EXAMPLES / "nginx.conf").read_text()
    text = re.sub(
        r"^( +)server \d[\d.]+:8080.*\n(?: +server \d.*\n)*",
        r"\1server warren-gateway:80 max_fails=0;\n",
        text,
        flags=re.MULTILINE,
    )
    # a pod has not the file descriptors of a machine that is made for it
    text = text.replace("worker_rlimit_nofile 131072;", "worker_rlimit_nofile 8192;").replace("65536", "4096")
    text = text.replace("listen 80 ", "listen 8080 ")
    assert "warren-gateway:80" in text
    space.run(
        "nginx",
        "nginx",
        "-c",
        "/files/nginx.conf",
        "-g",
        "daemon off;",
        image=TOOLS,
        files={"nginx.conf": text},
    )


def haproxy(space: Space) -> None:
    """Run haproxy before the pods themselves, which it finds by DNS and asks whether they are ready; it is
    ``haproxy:8080``.
    """
    text = (EXAMPLES / "haproxy.cfg").read_text()
    # its resolver knows no search list; cluster.local is what clusters are called unless somebody chose
    # otherwise
    name = f"warren-gateway-internal.{space.name}.svc.cluster.local"
    text = re.sub(
        r"^( +)server gateway1 .*\n(?: +server .*\n?)*",
        rf"\1server-template gateway 20 {name}:8080 port 9080 resolvers cluster init-addr none\n",
        text,
        flags=re.MULTILINE,
    )
    text = text.replace("maxconn 60000", "maxconn 3000").replace("bind :80 ", "bind :8080 ")
    assert "server-template" in text
    text += (
        "\nresolvers cluster\n    parse-resolv-conf\n    hold valid 1s\n    hold obsolete 30s\n    "
        "resolve_retries 3\n    timeout resolve 1s\n"
    )
    space.run(
        "haproxy", "haproxy", "-db", "-f", "/files/haproxy.cfg", image=TOOLS, files={"haproxy.cfg": text}
    )
