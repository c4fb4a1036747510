"""``python -m rabbit_nodes [COUNT]`` runs a private node, or a cluster of COUNT, until SIGINT or SIGTERM, and
prints the AMQP URLs, comma separated.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence

from rabbit_nodes.cluster import RabbitCluster
from rabbit_nodes.server import RabbitMissing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the nodes in the foreground; return the exit code: 1 where they can't run or end by themselves."""
    parser = argparse.ArgumentParser(
        prog="python -m rabbit_nodes", description="Run private RabbitMQ nodes and print their AMQP URLs"
    )
    parser.add_argument("count", nargs="?", type=int, default=1, help="nodes of one cluster (%(default)s)")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with RabbitCluster(given.count) as cluster:
            # an empty virtual host is another one for some clients (Java's)
            print(",".join(node.url_of("%2F") for node in cluster.nodes), flush=True)
            while any(node.running for node in cluster.nodes):
                time.sleep(0.2)
            print(f"RabbitMQ ended by itself:\n{cluster.nodes[0].log}", file=sys.stderr)
    except RabbitMissing as missing:
        print(missing, file=sys.stderr)
    except KeyboardInterrupt:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
