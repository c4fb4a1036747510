"""The settings of embedded mode: the services' own, with defaults that suit a trial on one's own machine, and
``PORT``.

Whatever ``WARREN_…`` variable is set counts as for the services themselves. It opens no socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from embedded.echo_service import SERVICE
from gateway.settings import GatewaySettings
from gateway.shell.auth import key_problems
from router.settings import RouterSettings
from warren.env import printable
from warren.errors import SettingsError
from warren.origins import LOCAL
from warren.otel_env import otel_problems
from warren.pusher_apps import apps_file_problems
from warren.settings import NONE, environment, on_this_machine, read

DEFAULT_PORT = 8080
GATEWAYS = 2
# The HTTP API's port is so much above the first gateway's.
API_PORT_ABOVE = 10

# Chosen for one user on one machine. Draining is short, so that Ctrl-C ends it all in less than five seconds.
_DEFAULTS = {
    "WARREN_GATEWAY_AUTH": "anonymous",
    "WARREN_GATEWAY_ECHO": "true",
    "WARREN_GATEWAY_HOST": "127.0.0.1",
    "WARREN_GATEWAY_INTERNAL_HOST": "127.0.0.1",
    "WARREN_GATEWAY_INTERNAL_PORT": "0",
    "WARREN_GATEWAY_CONNECTIONS": "2000",  # within the open files of any machine; both gateways share them
    "WARREN_GATEWAY_DRAIN_MS": "500",
    "WARREN_GATEWAY_DRAIN_DEADLINE_MS": "2000",
    "WARREN_GATEWAY_CLOSE_TIMEOUT_MS": "500",
    "WARREN_ROUTER_INTERNAL_HOST": "127.0.0.1",
    "WARREN_ROUTER_INTERNAL_PORT": "0",
    "WARREN_ROUTER_STOP_DEADLINE_MS": "2000",
    "WARREN_ROUTER_API_HOST": "127.0.0.1",
    "WARREN_LOG_LEVEL": "warning",
}
# Where the user has not said it: what may be called is the service that embedded mode brings, and all rooms
# tell who is there and who has seen what, so that the page can show it.
TRIAL_NAMESPACES = (
    f"{{services: [{{pattern: {SERVICE}}}], "
    "namespaces: [{name: all, pattern: '*', presence: {mode: users, watch: anyone}, receipts: seen}]}"
)
# Inside one process nobody else can own a shard or have members, so that there is nothing to listen for
# before the first message.
_ALONE = {"WARREN_ROUTER_LISTEN_MS": "0", "WARREN_ROUTER_ANNOUNCE_MS": "100"}
# Every gateway has a port of its own here.
_NOT_HERE = ("WARREN_GATEWAY_PORT",)


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """Two gateways' settings, a router's, and whether a RabbitMQ was named."""

    gateways: tuple[GatewaySettings, ...]
    router: RouterSettings
    on_rabbit: bool
    env: Mapping[str, str]

    @property
    def host(self) -> str:
        """The address that the gateways listen on."""
        return self.gateways[0].listen.host

    @property
    def ports(self) -> tuple[int, ...]:
        """The gateways' ports."""
        return tuple(gateway.listen.port for gateway in self.gateways)

    @property
    def trial_key(self) -> bool:
        """Whether the HTTP API has a key that is made for this run, since no file with keys was named."""
        return not self.router.api.keys_file

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of the page, which each gateway serves."""
        return self.gateways[0].listen.origins


def with_origins(own: Iterable[str], given: str) -> str:
    """Return the origins that are ``own`` and those that were ``given`` (empty or ``-``: none), as the
    gateways' setting has them.
    """
    given = given.strip()
    return ",".join([*own, *([] if given in ("", NONE) else [given])])


def read_embedded(env: Mapping[str, str] | None = None) -> EmbeddedSettings:
    """Read the settings from ``env`` (None: the process's environment). Raises SettingsError with every
    problem.
    """
    given = environment() if env is None else dict(env)
    problems = [
        f"{name}: embedded mode has two gateways; set PORT instead" for name in _NOT_HERE if given.get(name)
    ]
    port = _port(given.get("PORT", ""), problems)
    ports = [port + number for number in range(GATEWAYS)]
    on_rabbit = bool(given.get("WARREN_AMQP_URL") or given.get("WARREN_AMQP_URL_FILE"))
    named = given.get("WARREN_NAMESPACES") or given.get("WARREN_NAMESPACES_FILE")
    merged = {
        **_DEFAULTS,
        "WARREN_ROUTER_API_PORT": str(port + API_PORT_ABOVE),
        **({} if named else {"WARREN_NAMESPACES": TRIAL_NAMESPACES}),
        **({} if on_rabbit else _ALONE),
        **{name: value for name, value in given.items() if value and name not in _NOT_HERE},
        # pages of one's own machine, also from a development server's port
        "WARREN_GATEWAY_ORIGINS": with_origins(LOCAL, given.get("WARREN_GATEWAY_ORIGINS", "")),
    }
    checks = (on_this_machine, otel_problems)
    gateways, router = [], None
    try:
        gateways = [
            read(GatewaySettings, {**merged, "WARREN_GATEWAY_PORT": str(port)}, (*checks, _keys))
            for port in ports
        ]
    except SettingsError as error:
        problems += error.problems
    try:
        router = read(RouterSettings, merged, checks)
    except SettingsError as error:
        problems += error.problems
    if problems or router is None:
        raise SettingsError(list(dict.fromkeys(problems)))
    return EmbeddedSettings(tuple(gateways), router, on_rabbit, merged)


def _port(text: str, problems: list[str]) -> int:
    if not text:
        return DEFAULT_PORT
    highest = 65_535 - API_PORT_ABOVE
    if text.isascii() and text.isdigit() and 1 <= int(text) <= highest:
        return int(text)
    problems.append(
        f"PORT: must be a number from 1 to {highest} (the next one and the {API_PORT_ABOVE}th are used too), "
        f"not {printable(text, 40)!r}"
    )
    return DEFAULT_PORT


def _keys(settings: GatewaySettings, _: Mapping[str, str]) -> list[str]:
    return [*key_problems(settings.auth), *apps_file_problems(settings.pusher)]
