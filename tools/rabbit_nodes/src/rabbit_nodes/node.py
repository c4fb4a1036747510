"""A private RabbitMQ node: own ports, own cookie, own data folder, own epmd; nothing of it is left when it is
closed.

It needs an installation of RabbitMQ 3.10 to 4.x (Debian's package ``rabbitmq-server`` is one) and no right of
root; or a folder with a Debian that has it (``debian``), and root. It never touches a broker that it did not
start.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rabbit_nodes.child import Child
from rabbit_nodes.debian import EPMD, SERVER, RabbitRoot, named_root
from rabbit_nodes.ports import free_port
from rabbit_nodes.server import RabbitMissing, find_epmd, find_server

_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


class RabbitNode:
    """One node. ``start`` blocks until it answers AMQP (about 8 s); ``close`` (or leaving the ``with``)
    removes all of it.

    Data outlive ``stop`` and ``kill``, so that ``start`` brings the same node back on the same port.
    """

    def __init__(
        self,
        *,
        config: str = "",
        root: RabbitRoot | None = None,
        epmd_port: int | None = None,
        cookie: str = "",
        port: int | None = None,
    ) -> None:
        """``config`` is appended to the node's rabbitmq.conf. ``root``: run from that folder (None: the one
        that the environment names, else the machine's own RabbitMQ). Nodes of one cluster share a ``cookie``
        and an ``epmd_port``, on which the first of them runs the epmd of all. ``port``: where it listens
        (None: a free one).
        """
        self._root = root or named_root()
        if self._root is not None and (lack := self._root.lack()):
            raise RabbitMissing(lack)
        self._server = SERVER if self._root else find_server()
        self._epmd_program = EPMD if self._root else find_epmd()
        self.port = port or free_port()
        self.name = f"warren{secrets.token_hex(4)}@localhost"
        self.epmd_port = epmd_port or free_port()
        self.cookie = cookie or secrets.token_hex(16)
        self.config = config
        self._own_epmd = epmd_port is None
        self._dist_port = free_port()
        prefix = "warren-rabbit-"
        self.folder = (
            self._root.temporary_folder(prefix) if self._root else Path(tempfile.mkdtemp(prefix=prefix))
        )
        self._epmd: Child | None = None
        self._node: Child | None = None

    @property
    def url(self) -> str:
        """The AMQP URL of the default virtual host."""
        return self.url_of("/")

    def url_of(self, vhost: str) -> str:
        """Return the AMQP URL of a virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{'' if vhost == '/' else vhost}"

    @property
    def own_folder(self) -> Path:
        """The node's folder as the node itself sees it: what its configuration has to say for a file that
        stands in ``folder``.
        """
        return self._root.inside(self.folder) if self._root else self.folder

    @property
    def running(self) -> bool:
        """Whether the node's process is there (a paused one is)."""
        return self._node is not None and self._node.running

    @property
    def pid(self) -> int:
        """The Erlang VM's process id."""
        if self._node is None:
            raise RuntimeError("the node was never started")
        return self._node.pid

    @property
    def log(self) -> str:
        """The last lines of what the node logged and printed."""
        files = [*sorted((self.folder / "log").glob("*.log")), self.folder / "output"]
        lines = [
            line for file in files if file.is_file() for line in file.read_text(errors="replace").splitlines()
        ]
        return "\n".join(lines[-40:])

    def start(self, timeout_s: float = 90.0) -> None:
        """Start the node and return once it answers AMQP. Raises RabbitMissing with the end of the node's
        log.
        """
        if not self.running:
            self.launch()
            self.wait(timeout_s)

    def launch(self) -> None:
        """Start the node and don't wait for anything."""
        self._write_files()
        env = self._environment()
        with (self.folder / "output").open("ab") as output:
            if self._own_epmd and (self._epmd is None or not self._epmd.running):
                epmd = self._command(
                    self._epmd_program, "-port", str(self.epmd_port), "-address", "127.0.0.1"
                )
                self._epmd = Child(epmd, env=env, output=output, folder=self.folder)
            server = self._command(self._server)
            self._node = Child(server, env=env, output=output, cwd=self.folder, folder=self.folder)

    def wait(self, timeout_s: float = 90.0) -> None:
        """Return once a launched node answers AMQP. Raises RabbitMissing with the end of the node's log."""
        if self._node is None:
            raise RuntimeError("the node was never started")
        deadline = time.monotonic() + timeout_s
        while not self.answers():
            if not self._node.running:
                raise RabbitMissing(f"RabbitMQ ended with {self._node.exit_code} at its start:\n{self.log}")
            if time.monotonic() > deadline:
                self.kill()
                raise RabbitMissing(f"RabbitMQ did not answer within {timeout_s:.0f} s:\n{self.log}")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Say whether the port speaks AMQP (a call of ``rabbitmqctl`` would cost 0.65 s)."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2.0) as probe:
            probe.sendall(_PROTOCOL_HEADER)
            return len(probe.recv(8)) > 0
        return False

    def stop(self, timeout_s: float = 30.0) -> None:
        """Shut the node down in order; its data stay."""
        if self._node is not None:
            self._node.end(timeout_s)

    def kill(self) -> None:
        """Lose the node: SIGKILL to the Erlang VM; its data stay as they are on the disk."""
        if self._node is not None:
            self._node.kill()

    def pause(self) -> None:
        """Freeze the node (SIGSTOP): its sockets stay open and nothing answers."""
        if self._node is not None:
            self._node.pause()

    def resume(self) -> None:
        """Let a frozen node go on."""
        if self._node is not None:
            self._node.resume()

    def ctl(self, *arguments: str, timeout_s: float = 150.0) -> str:
        """Run ``rabbitmqctl`` on this node and return what it printed (2 s of CPU, and a minute on a busy
        machine). Raises RuntimeError with its complaint.
        """
        done = subprocess.run(
            self._command(self._server.with_name("rabbitmqctl"), "--quiet", "--node", self.name, *arguments),
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def import_definitions(self, definitions: Mapping[str, object]) -> None:
        """Have the node take these. Raises RuntimeError with its complaint."""
        name = "definitions.json"
        path = self.folder / name
        path.write_text(json.dumps(definitions))
        path.chmod(0o644)  # it may run as another user
        self.ctl("import_definitions", str(self.own_folder / name))

    def add_vhost(self, name: str) -> str:
        """Make a virtual host that the user guest may use, and return its URL (1.3 s)."""
        self.ctl("add_vhost", name)
        self.ctl("set_permissions", "--vhost", name, "guest", ".*", ".*", ".*")
        return self.url_of(name)

    def delete_vhost(self, name: str) -> None:
        """Remove a virtual host with all that is in it."""
        self.ctl("delete_vhost", name)

    def close(self) -> None:
        """End the node at once and remove its folder."""
        for child in (self._node, self._epmd):
            if child is not None:
                child.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write_files(self) -> None:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(self.cookie)
            cookie.chmod(0o400)
        (self.folder / "plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.file.level = warning\n{self.config}\n"
        )

    def _command(self, program: Path, *arguments: str) -> list[str]:
        return self._root.command(program, *arguments) if self._root else [str(program), *arguments]

    def _environment(self) -> dict[str, str]:
        folder = self.own_folder
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_", "WARREN_"))
        }
        return inherited | {
            "HOME": str(folder / "home"),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
            # The script then becomes the Erlang VM itself, so that its process id is the one we signal.
            "RABBITMQ_ALLOW_INPUT": "1",
            # No busy waiting of the schedulers: the machine has better things to do.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput -kernel inet_dist_use_interface {127,0,0,1} "
            "-kernel net_ticktime 10 +sbwt none +sbwtdcpu none +sbwtdio none",
        }
