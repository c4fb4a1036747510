"""Settings: from an environment to frozen models, with every problem at once."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from warren.errors import SettingsError
from warren.namespaces import Namespaces, RoomPolicy
from warren.settings import (
    BusSettings,
    CommaList,
    LogSettings,
    NamespaceSettings,
    ProbeSettings,
    Settings,
    command_line,
    describe,
    environment,
    read,
    report,
    variable,
)
from warren.topology import Topology


class Probes(ProbeSettings):
    model_config = SettingsConfigDict(env_prefix="WARREN_GATEWAY_")


class Auth(Settings):
    model_config = SettingsConfigDict(env_prefix="WARREN_GATEWAY_")

    jwt_secret: SecretStr = variable(SecretStr(""), "The key of HS256 tokens.")
    auth: str = variable("jwt", "How clients are known.")

    @model_validator(mode="after")
    def _has_a_key(self) -> "Auth":
        if self.auth == "jwt" and not self.jwt_secret.get_secret_value():
            raise ValueError("WARREN_GATEWAY_AUTH=jwt needs a key: set WARREN_GATEWAY_JWT_SECRET")
        return self


class Service(Settings):
    model_config = SettingsConfigDict(env_prefix="WARREN_GATEWAY_")

    bus: BusSettings = BusSettings()
    log: LogSettings = LogSettings()
    probes: Probes = Probes(internal_port=9080)
    rooms: CommaList = variable(("default",), "Rooms joined at connect.")
    rate: int = variable(5, "Messages in a second.", ge=1)
    deflate: bool = variable(True, "Compress.")


class Secured(Settings):
    auth: Auth = Auth(auth="anonymous")
    bus: BusSettings = BusSettings()


def problems_of(cls: type[Settings], env: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(cls, env)
    return caught.value.problems


def test_an_empty_environment_gives_the_defaults() -> None:
    """With nothing set every value is its default, a group's given defaults before its class's own."""
    settings = read(Service, {})
    assert settings == Service()
    assert settings.probes.internal_port == 9080
    assert settings.bus.amqp_urls == ("amqp://guest:guest@localhost:5672/",)


def test_values_are_read_by_prefix_and_field() -> None:
    """A field is read from the variable of its prefix and name, and turned into its type."""
    settings = read(
        Service,
        {
            "WARREN_SHARDS": "4",
            "WARREN_LOG_LEVEL": "DEBUG",
            "WARREN_GATEWAY_INTERNAL_PORT": "7000",
            "WARREN_GATEWAY_ROOMS": "lobby, news ,",
            "WARREN_GATEWAY_RATE": "20",
            "WARREN_GATEWAY_DEFLATE": "off",
            "WARREN_AMQP_URL": "amqp://a, amqps://b/v",
            "HOME": "/",
        },
    )
    assert (settings.bus.shards, settings.log.log_level, settings.probes.internal_port) == (4, "debug", 7000)
    assert (settings.rooms, settings.rate, settings.deflate) == (("lobby", "news"), 20, False)
    assert settings.bus.amqp_urls == ("amqp://a", "amqps://b/v")


def test_an_empty_variable_is_one_that_is_not_set_and_a_dash_is_the_empty_list() -> None:
    """An empty variable leaves the default; ``-`` makes a list empty."""
    assert read(Service, {"WARREN_GATEWAY_ROOMS": "", "WARREN_SHARDS": ""}) == Service()
    assert read(Service, {"WARREN_GATEWAY_ROOMS": "-"}).rooms == ()


def test_all_problems_come_at_once_each_with_its_variable() -> None:
    """Every wrong value, unreadable file and unknown name is reported in one go, by the variable's name."""
    assert problems_of(
        Service,
        {
            "WARREN_SHARDS": "many",
            "WARREN_AMQP_HEARTBEAT_S": "0",
            "WARREN_LOG_LEVEL": "loud",
            "WARREN_GATEWAY_RATE": "1.5",
            "WARREN_GATEWAY_RAET": "3",
            "WARREN_SHARD": "3",
            "warren_prefix": "x",
            "WARREN_AMQP_URL_FILE": "/no/such/file",
        },
    ) == [
        "WARREN_AMQP_URL_FILE: can't read /no/such/file: No such file or directory",
        "WARREN_AMQP_HEARTBEAT_S: must be greater than or equal to 1, not '0'",
        "WARREN_SHARDS: must be a valid integer, unable to parse string as an integer, not 'many'",
        "WARREN_LOG_LEVEL: must be 'debug', 'info', 'warning' or 'error', not 'loud'",
        "WARREN_GATEWAY_RATE: must be a valid integer, unable to parse string as an integer, not '1.5'",
        "WARREN_GATEWAY_RAET: nobody knows this variable; did you mean WARREN_GATEWAY_RATE?",
        "WARREN_SHARD: nobody knows this variable; did you mean WARREN_SHARDS?",
        "warren_prefix: nobody knows this variable; did you mean WARREN_PREFIX?",
    ]


def test_the_other_services_variables_and_the_tools_are_let_alone() -> None:
    """A service ignores the other one's prefix, shared variables that it has no use for, and what only tests
    and benches read.
    """
    read(Service, {"WARREN_ROUTER_PREFETCH": "7", "WARREN_TEST_TIME_FACTOR": "3", "WARREN_BENCH_N": "1"})
    read(BusSettings, {"WARREN_NAMESPACES_FILE": "/etc/namespaces.yaml", "WARREN_LOG_LEVEL": "debug"})
    assert problems_of(BusSettings, {"WARREN_CACHE": "7"}) == ["WARREN_CACHE: nobody knows this variable"]


def test_the_names_that_kubernetes_injects_for_services_are_let_alone() -> None:
    """Kubernetes's service links, also the one that has the name of a real variable, are neither values nor
    problems.
    """
    env = {
        "WARREN_GATEWAY_SERVICE_HOST": "10.0.0.1",
        "WARREN_GATEWAY_SERVICE_PORT_HTTP": "80",
        "WARREN_GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "WARREN_GATEWAY_INTERNAL_PORT": "tcp://10.0.0.1:9080",
        "WARREN_PORT": "tcp://10.0.0.1:80",
    }
    assert read(Service, env) == Service()


def test_what_parts_say_together_is_checked_when_they_are_right() -> None:
    """A rule over several variables is checked, in its own words, and only where each of them is right by
    itself.
    """
    needs = "WARREN_GATEWAY_AUTH=jwt needs a key: set WARREN_GATEWAY_JWT_SECRET"
    assert problems_of(Secured, {"WARREN_GATEWAY_AUTH": "jwt"}) == [needs]
    assert read(
        Secured, {"WARREN_GATEWAY_AUTH": "jwt", "WARREN_GATEWAY_JWT_SECRET": "k"}
    ).auth.jwt_secret == SecretStr("k")


@pytest.mark.parametrize("url", ["http://broker", "amqp://", "localhost:5672", ",", "amqp://ok, nonsense"])
def test_a_wrong_broker_address_is_a_problem_that_does_not_repeat_it(url: str) -> None:
    """An address that is no AMQP address is refused without being repeated, since it may hold a password."""
    (problem,) = problems_of(BusSettings, {"WARREN_AMQP_URL": url})
    assert problem.startswith("WARREN_AMQP_URL: must be amqp://")
    assert "nonsense" not in problem


def test_the_files_for_tls_become_options_of_the_addresses_that_speak_it() -> None:
    """An address without TLS has none of them, and what an address says itself stays."""
    env = {
        "WARREN_AMQP_URL": "amqps://u:p%40w@a/v,amqps://b?heartbeat=5&cafile=/own.pem,amqp://c",
        "WARREN_AMQP_CA_FILE": "/etc/warren ca/ca.crt",
        "WARREN_AMQP_CERT_FILE": "/c.pem",
        "WARREN_AMQP_KEY_FILE": "/k.pem",
    }
    assert read(BusSettings, env).amqp_urls == (
        "amqps://u:p%40w@a/v?cafile=/etc/warren%20ca/ca.crt&certfile=/c.pem&keyfile=/k.pem",
        "amqps://b?heartbeat=5&cafile=/own.pem&certfile=/c.pem&keyfile=/k.pem",
        "amqp://c",
    )


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        ({"WARREN_AMQP_CA_FILE": "/ca.pem"}, "no address of WARREN_AMQP_URL begins with amqps://"),
        ({"WARREN_AMQP_URL": "amqps://b", "WARREN_AMQP_KEY_FILE": "/k.pem"}, "WARREN_AMQP_CERT_FILE is not"),
    ],
)
def test_files_for_tls_that_would_do_nothing_are_a_problem(env: dict[str, str], problem: str) -> None:
    """A CA without TLS, or a key without its certificate, is a slip that would leave the connection open to
    others.
    """
    (found,) = problems_of(BusSettings, env)
    assert problem in found


def test_the_sizes_in_the_broker_are_the_topologys() -> None:
    """What nobody sets is the topology's own default; what is set is an argument of the queues."""
    assert read(BusSettings, {}).topology.queues() == Topology().queues()
    env = {
        "WARREN_PREFIX": "w",
        "WARREN_SHARDS": "1",
        "WARREN_BROKER_NOTIFY_BYTES": "2000000",
        "WARREN_BROKER_LOG_BYTES": "16000000",
        "WARREN_BROKER_POD_BYTES": "3000000",
        "WARREN_BROKER_DEAD_BYTES": "4000000",
    }
    topology = read(BusSettings, env).topology
    sizes = {queue.name: queue.arguments.get("x-max-length-bytes") for queue in topology.queues()}
    assert sizes == {
        "w.guard": None,
        "w.log.0": 16_000_000,
        "w.notify": 2_000_000,
        "w.control": 64 * 1024 * 1024,
        "w.rpc.replies": 2_000_000,
        "w.notify.dead": 4_000_000,
        "w.dead": 4_000_000,
    }
    assert topology.log(0).arguments["x-stream-max-segment-size-bytes"] == 1_000_000
    assert topology.gateway_queue("g", "n")[0].arguments["x-max-length-bytes"] == 3_000_000


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    """A secret is read from the file that <NAME>_FILE names, without the newline at its end; both at once are
    a problem.
    """
    file = tmp_path / "url"
    file.write_text("amqp://u:pw@broker/\n")
    assert read(BusSettings, {"WARREN_AMQP_URL_FILE": str(file)}).amqp_urls == ("amqp://u:pw@broker/",)
    both = {"WARREN_AMQP_URL_FILE": str(file), "WARREN_AMQP_URL": "amqp://x"}
    assert problems_of(BusSettings, both) == [
        "WARREN_AMQP_URL: is set, and WARREN_AMQP_URL_FILE too; keep one of them"
    ]
    file.write_bytes(b"\xff\xfe")
    assert problems_of(BusSettings, {"WARREN_AMQP_URL_FILE": str(file)}) == [
        f"WARREN_AMQP_URL_FILE: can't read {file}: not UTF-8 text"
    ]


def test_only_secrets_and_texts_that_say_so_have_a_file_variant() -> None:
    """<NAME>_FILE is unknown for a variable that does not offer it."""
    assert problems_of(BusSettings, {"WARREN_SHARDS_FILE": "/x"}) == [
        "WARREN_SHARDS_FILE: nobody knows this variable; did you mean WARREN_SHARDS?"
    ]


def test_namespaces_come_from_a_file_with_all_their_problems(tmp_path: Path) -> None:
    """The namespaces' YAML is read from its file, and each of its problems is one of the settings'."""
    file = tmp_path / "namespaces.yaml"
    file.write_text("namespaces: [{name: chat, pattern: 'chat:*'}]")
    env = {"WARREN_NAMESPACES_FILE": str(file)}
    assert read(NamespaceSettings, env).namespaces == Namespaces([RoomPolicy("chat", "chat:*")])
    file.write_text("namespaces: [{name: CHAT, pattern: 'chat:*', jion: token}]")
    assert problems_of(NamespaceSettings, env) == [
        "WARREN_NAMESPACES: namespaces[0].jion: unknown; did you mean join?",
        "WARREN_NAMESPACES: namespaces[0].name: must be 1 to 64 of a-z 0-9 _ -, not 'CHAT'",
    ]


def test_a_namespaces_schemas_may_stand_in_files_of_their_own(tmp_path: Path) -> None:
    """They are read with the settings; one that can't be read is one of the settings' problems."""
    file = tmp_path / "deal.json"
    entry = f"{{name: trades, pattern: 'trades:*', check: true, schemas: {{deal: {file}}}}}"
    env = {"WARREN_NAMESPACES": f"[{entry}]"}
    assert problems_of(NamespaceSettings, env) == [
        f"WARREN_NAMESPACES: namespaces[0].schemas.deal: {file}: No such file or directory"
    ]
    file.write_text('{"type": "object", "additionalProperties": false}')
    policy = read(NamespaceSettings, env).namespaces.policy("trades:a")
    assert policy.problem("deal", b'{"a":1}', False) == "Object contains unknown field `a`"


def test_settings_are_frozen_and_never_read_the_environment_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A constructed group takes its arguments alone, refuses unknown ones, and can't be changed."""
    monkeypatch.setenv("WARREN_SHARDS", "3")
    assert BusSettings().shards == 2
    assert read(BusSettings).shards == 3
    assert environment()["WARREN_SHARDS"] == "3"
    with pytest.raises(ValidationError):
        BusSettings.model_validate({"shard": 3})
    with pytest.raises(ValidationError):
        BusSettings().shards = 5


def test_describe_lists_each_variable_once_in_order() -> None:
    """The description names every variable once, in the order of the fields, with default, meaning, secrecy
    and file variant.
    """

    class Both(Settings):
        service: Service = Service()
        bus: BusSettings = BusSettings()
        namespaces: NamespaceSettings = NamespaceSettings()

    described = {one.name: one for one in describe(Both)}
    assert len(described) == len(describe(Both))
    assert list(described)[:2] == ["WARREN_AMQP_URL", "WARREN_AMQP_CA_FILE"]
    url = described["WARREN_AMQP_URL"]
    assert (url.default, url.secret, url.file) == ("amqp://guest:guest@localhost:5672/", True, True)
    assert described["WARREN_GATEWAY_INTERNAL_PORT"].default == "9080"
    assert described["WARREN_GATEWAY_DEFLATE"].default == "true"
    assert described["WARREN_GATEWAY_ROOMS"].default == "default"
    assert described["WARREN_NAMESPACES"].file
    assert all(one.meaning for one in described.values())


def test_the_report_says_where_each_value_comes_from_and_hides_secrets(tmp_path: Path) -> None:
    """The report shows value, source and meaning of each variable, and never a secret's value."""
    file = tmp_path / "url"
    file.write_text("amqp://u:pw@broker/")
    lines = report(Service, {"WARREN_AMQP_URL_FILE": str(file), "WARREN_SHARDS": "4"}).splitlines()
    assert lines[0] == "WARREN_AMQP_URL=***"
    assert lines[1].startswith(f"    file {file}. Address of RabbitMQ")
    assert "WARREN_SHARDS=4" in lines
    assert (
        "    environment. Number of shards; fixed for the life of an installation, and the same for all its "
        "services." in lines
    )
    assert "    default. Messages in a second." in lines
    assert "pw" not in "".join(lines)
    assert "pw" not in repr(read(Service, {"WARREN_AMQP_URL": "amqp://u:pw@b"}))


def test_the_command_line_runs_prints_or_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments the settings come back; --settings and --help print and end with 0; the rest ends
    with 2 and says why.
    """
    assert command_line("gateway", Service, [], {"WARREN_SHARDS": "2"}).bus.shards == 2
    for arguments, env, code, out, err in (
        (["--settings"], {"WARREN_SHARDS": "2"}, 0, "WARREN_SHARDS=2", ""),
        (["--help"], {}, 0, "usage: python -m gateway", ""),
        (["--port", "1"], {}, 2, "", "gateway: unknown arguments: --port 1"),
        (
            [],
            {"WARREN_SHARDS": "x", "WARREN_X": "1"},
            2,
            "",
            "gateway: 2 wrong settings\n  WARREN_SHARDS: must be",
        ),
        (["--settings"], {"WARREN_SHARDS": "x"}, 2, "WARREN_SHARDS=x", "gateway: 1 wrong setting\n"),
    ):
        with pytest.raises(SystemExit) as caught:
            command_line("gateway", Service, arguments, env)
        captured = capsys.readouterr()
        assert caught.value.code == code
        assert out in captured.out
        assert err in captured.err


def test_each_wrong_address_of_several_is_named_by_its_number() -> None:
    """A comma in a password makes two of one address, and is among what is to be escaped."""
    found = problems_of(BusSettings, {"WARREN_AMQP_URL": "amqp://ok, amqp://w:se/cret@h, amqp://h:99999"})
    assert [problem.partition("(")[2][:13] for problem in found] == ["number 2 of 3", "number 3 of 3"]
    (first, second) = problems_of(BusSettings, {"WARREN_AMQP_URL": "amqp://w:sesa,me@h"})
    assert "a comma as %2C" in first
    assert "sesa" not in first + second


@pytest.mark.parametrize("name", ["WARREN_AMQP_URL_FILE", "WARREN_NAMESPACES_FILE"])
@pytest.mark.parametrize("text", ["amqp://u:sesame@h/", "sesame", "user:sesame@h", "C3sam+/sesame=="])
def test_a_value_in_the_place_of_its_file_is_not_shown(name: str, text: str) -> None:
    """It is a slip of the pen, and the value is a secret."""

    class Both(Settings):
        bus: BusSettings = BusSettings()
        namespaces: NamespaceSettings = NamespaceSettings()

    (problem,) = problems_of(Both, {name: text})
    assert problem.startswith(f"{name}: can't read what it names (a path belongs there, not the value)")
    assert "sesame" not in problem + report(Both, {name: text})


def test_checks_are_asked_although_other_values_are_wrong() -> None:
    """So that all problems come at once; a group that is wrong is there with its defaults."""
    with pytest.raises(SettingsError) as caught:
        read(
            Service,
            {"WARREN_SHARDS": "x", "X": "7"},
            [lambda settings, env: [f"X: {env['X']} of {settings.bus.shards}"]],
        )
    assert caught.value.problems[1:] == ["X: 7 of 2"]


def test_the_files_for_tls_are_looked_at_when_a_service_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing, what is no PEM and a key that asks for a pass phrase are problems that name their
    variables.
    """
    file = tmp_path / "ca.pem"
    file.write_text("sesame")
    env = {
        "WARREN_AMQP_URL": "amqps://b,amqps://c?cafile=/no/such.pem",
        "WARREN_AMQP_CA_FILE": str(file),
        "WARREN_AMQP_CERT_FILE": str(file),
        "WARREN_AMQP_KEY_FILE": "/no/key.pem",
    }
    with pytest.raises(SystemExit) as caught:
        command_line("router", BusSettings, [], env)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "router: 3 wrong settings",
        "  WARREN_AMQP_CA_FILE: no certificates in PEM",
        (
            "  WARREN_AMQP_CERT_FILE, WARREN_AMQP_KEY_FILE: no certificate with its key, both in PEM, and the "
            "key without a pass phrase"
        ),
        "  WARREN_AMQP_URL: its option cafile: can't be read: No such file or directory",
    ]


def test_arguments_that_hold_credentials_are_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """As when somebody takes variables for options."""
    with pytest.raises(SystemExit):
        command_line("router", BusSettings, ["--amqp-url=amqp://u:sesame@h/"], {})
    assert "sesame" not in capsys.readouterr().err
