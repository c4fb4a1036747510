"""TLS to the broker, on a real node with a private CA: what is trusted, what is not, and what the log says
then.

The node asks for a client's certificate and does without one; a certificate of a foreign CA it refuses.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.rabbit import Rabbit

from rabbit_nodes.node import RabbitNode
from warren.bus.rabbit.bus import ConnectionTimes, RabbitBus
from warren.settings import BusSettings, read
from warren.topology import Topology

# On one worker, since they share a node of its own kind.
pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.xdist_group("tls")]
TIMES = ConnectionTimes(first_pause_s=0.05, longest_pause_s=0.2)
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA that lives as long as the test."""

    def __init__(self, name: str, folder: Path) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._signed(name, self._key, ca=True)
        self.file = self._write(f"{name}.crt", self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Make a certificate for 127.0.0.1 (and no name); return its file and its key's."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(name, key, ca=False)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return (
            self._write(f"{self._name}-{name}.crt", certificate.public_bytes(serialization.Encoding.PEM)),
            self._write(f"{self._name}-{name}.key", pem),
        )

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        theirs = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(own, critical=False)
            .add_extension(theirs, critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, name: str, pem: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(pem)
        return path


@dataclass(frozen=True)
class Secured:
    """The node, its CA and one that it does not know."""

    node: RabbitNode
    port: int
    own: Authority
    foreign: Authority


@pytest.fixture(scope="module")
def secured(_broker: Rabbit) -> Iterator[Secured]:
    _broker.node  # noqa: B018 - where the broker is not ours, none of another kind is started either
    node = RabbitNode()
    port = free_port()
    own, foreign = Authority("own", node.folder), Authority("foreign", node.folder)
    certificate, key = own.issue("broker")
    node.config = "\n".join(
        [
            f"listeners.ssl.1 = 127.0.0.1:{port}",
            f"ssl_options.cacertfile = {node.own_folder / own.file.name}",
            f"ssl_options.certfile = {node.own_folder / certificate.name}",
            f"ssl_options.keyfile = {node.own_folder / key.name}",
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = false",
        ]
    )
    with node:
        yield Secured(node, port, own, foreign)


@asynccontextmanager
async def starting(**env: str) -> AsyncIterator[asyncio.Task[None]]:
    """A bus of these settings on its way to the broker."""
    settings = read(BusSettings, {"WARREN_PREFIX": "tls", "WARREN_SHARDS": "1", **env})
    bus = RabbitBus(settings.amqp_urls, settings.topology, name="tls", times=TIMES)
    task = asyncio.create_task(bus.start())
    try:
        yield task
        if task.done():
            await bus.publish(Topology("tls", 1).notify, "all", b"1", mandatory=True)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.close()


def said(caplog: pytest.LogCaptureFixture, *words: str) -> bool:
    return any(all(word in line.getMessage() for word in words) for line in caplog.records)


def address(secured: Secured, host: str = "127.0.0.1", **options: object) -> str:
    query = f"?{urlencode(options)}" if options else ""
    return f"amqps://guest:guest@{host}:{secured.port}/{query}"


def shown(secured: Secured, authority: Authority) -> dict[str, str]:
    """Return the settings of a gateway that shows the broker a certificate of this authority."""
    certificate, key = authority.issue("gateway")
    return {
        "WARREN_AMQP_URL": address(secured),
        "WARREN_AMQP_CA_FILE": str(secured.own.file),
        "WARREN_AMQP_CERT_FILE": str(certificate),
        "WARREN_AMQP_KEY_FILE": str(key),
    }


async def test_a_broker_of_a_private_ca_is_trusted_where_the_ca_is_named(secured: Secured) -> None:
    """By the setting, or by the address's own option; messages go through."""
    async with starting(WARREN_AMQP_URL=address(secured), WARREN_AMQP_CA_FILE=str(secured.own.file)) as task:
        await task
    async with starting(WARREN_AMQP_URL=address(secured, cafile=secured.own.file)) as task:
        await task


async def test_a_client_certificate_is_shown_where_one_is_given(secured: Secured) -> None:
    """The broker knows who has connected by it."""
    async with starting(**shown(secured, secured.own)) as task:
        await task
        listed = await asyncio.to_thread(secured.node.ctl, "list_connections", "peer_cert_subject")
        assert "CN=gateway" in listed


@pytest.mark.parametrize("named", [False, True], ids=["no CA", "another CA"])
async def test_a_broker_of_an_unknown_ca_is_refused(
    secured: Secured, named: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is sent, and the log says that the CA is to be named, and how."""
    env = {"WARREN_AMQP_CA_FILE": str(secured.foreign.file)} if named else {}
    async with starting(WARREN_AMQP_URL=address(secured), **env) as task:
        await eventually(lambda: said(caplog, "is not to be trusted", "name its CA by WARREN_AMQP_CA_FILE"))
        assert not task.done()
    assert not said(caplog, "guest:guest")


async def test_a_certificate_for_another_name_is_refused(
    secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    """Though its CA is known: somebody else of that CA may stand in between."""
    async with starting(
        WARREN_AMQP_URL=address(secured, "localhost"), WARREN_AMQP_CA_FILE=str(secured.own.file)
    ) as task:
        await eventually(lambda: said(caplog, "certificate is not for 'localhost'"))
        assert not task.done()


async def test_a_client_certificate_that_the_broker_refuses_is_said(
    secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the setting that has it."""
    async with starting(**shown(secured, secured.foreign)) as task:
        await eventually(lambda: said(caplog, "WARREN_AMQP_CERT_FILE"))
        assert not task.done()


async def test_a_port_that_speaks_no_tls_is_said(secured: Secured, caplog: pytest.LogCaptureFixture) -> None:
    """As where the address has the scheme of TLS and the port of plain AMQP."""
    async with starting(WARREN_AMQP_URL=f"amqps://guest:guest@127.0.0.1:{secured.node.port}/"):
        await eventually(lambda: said(caplog, "no TLS is spoken on this port"))
