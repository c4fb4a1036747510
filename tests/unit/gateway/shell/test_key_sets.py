"""Keys for checking tokens."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from tests.support.gateways import logged
from tests.support.tokens import JwksServer, Signer, jwks

from gateway.shell.key_sets import KeySet, fetch_document, parse_jwks, public_key, secret_key
from warren.errors import SettingsError


class HeldClock:
    """Time in the test's hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall_us(self) -> int:
        return int(self.now * 1e6)

    def thread(self) -> float:
        return 0.0

    def busy(self) -> float:
        return 0.0


def test_each_public_key_is_bound_to_its_family():
    """An RSA key is good for RS256 alone, P-256 for ES256, Ed25519 for EdDSA."""
    for algorithm in ("RS256", "ES256", "EdDSA"):
        assert public_key(Signer(algorithm).public_pem).algorithm_name == algorithm


@pytest.mark.parametrize("load", [lambda: public_key("no PEM"), lambda: secret_key("short")])
def test_unusable_keys_name_the_variable(load):
    """A key that can't be used is a settings problem that names its variable and not its value."""
    with pytest.raises(SettingsError, match="WARREN_GATEWAY_JWT_"):
        load()


def test_a_set_keeps_what_it_can_use():
    """Keys for encryption, of unknown families and broken ones are passed over; a set of nothing
    is an error.
    """
    good = Signer("ES256", kid="a").jwk()
    document = {"keys": [good, {**good, "use": "enc"}, {"kty": "XXX"}, 7, {**good, "x": "?"}]}
    ((key,), _) = parse_jwks(json.dumps(document).encode())
    assert (key.key_id, key.algorithm_name) == ("a", "ES256")
    for nothing in (b"{}", b"[]", b"{", b'{"keys": []}', b'{"keys": {}}'):
        with pytest.raises(ValueError, match=r"\S"):
            parse_jwks(nothing)


def pem(private: Any) -> str:
    return str(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


RSA_1024 = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
RSA_2047 = rsa.generate_private_key(public_exponent=65_537, key_size=2_047)
P384 = ec.generate_private_key(ec.SECP384R1())
K256 = ec.generate_private_key(ec.SECP256K1())
PRIVATE = Signer("EdDSA")._private


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (pem(RSA_1024), "1024 bits is too short: 2048 at least"),
        (pem(RSA_2047), "2047 bits is too short: 2048 at least"),
        (pem(P384), "only P-256"),
        (pem(K256), "only P-256"),
        (pem(ed448.Ed448PrivateKey.generate()), "only public keys of RSA, P-256 and Ed25519"),
        (pem(x25519.X25519PrivateKey.generate()), "only public keys of RSA, P-256 and Ed25519"),
        (pem(dsa.generate_private_key(1_024)), "only public keys of RSA, P-256 and Ed25519"),
        (PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), "no public key"),
        ("-----BEGIN CERTIFICATE-----\nsesame\n-----END CERTIFICATE-----", "no public key"),
    ],
    ids=lambda value: None if value.startswith("-----") else value[:20],
)
def test_weak_and_foreign_public_keys_are_refused(text: str, why: str):
    """With the reason, and nothing of the key."""
    with pytest.raises(SettingsError, match=why) as caught:
        public_key(text)
    assert text.splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize(
    "secret",
    [
        "x" * 31,
        "",
        pem(RSA_1024),
        " " + pem(RSA_1024),
        pem(RSA_1024)[:60],
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefgh",
        json.dumps(Signer("RS256").jwk()),
    ],
)
def test_weak_secrets_and_public_keys_in_their_place_are_refused(secret: str):
    """A public key is known to everybody, so it is no secret."""
    with pytest.raises(SettingsError, match="WARREN_GATEWAY_JWT_SECRET"):
        secret_key(secret)


ES, RS, ED = (Signer(algorithm, kid=algorithm).jwk() for algorithm in ("ES256", "RS256", "EdDSA"))  # type: ignore[arg-type]


def without(entry: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in names}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"kty": "oct", "k": ""}, "symmetric"),
        ({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "s"}, "symmetric"),
        ({"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 64).decode()}, "symmetric"),
        ({**without(ES, "kty"), "k": ""}, "its kty is none of"),
        ({**ES, "kty": "XXX"}, "its kty is none of"),
        ({**ES, "kty": ["EC"]}, "its kty is none of"),
        ({**ES, "use": "enc"}, "its use is not sig"),
        ({**ES, "key_ops": ["sign"]}, "its key_ops do not have verify"),
        ({**ES, "key_ops": "verify"}, "its key_ops do not have verify"),
        ({**ES, "alg": "HS256"}, "its alg is not ES256"),
        ({**RS, "alg": "RS512"}, "its alg is not RS256"),
        ({**RS, "alg": "PS256"}, "its alg is not RS256"),
        ({**RS, "alg": "none"}, "its alg is not RS256"),
        ({**ED, "alg": "ES256"}, "its alg is not EdDSA"),
        ({**ES, "alg": None}, "its alg is not ES256"),
        ({**ES, "d": "AAAA"}, "a private key"),
        ({**ES, "kid": 7}, "its kid is no text"),
        ({**ES, "x": "?"}, "it can't be read"),
        (without(ES, "x"), "it can't be read"),
        ({**RS, "n": "AQAB"}, "too short|can't be read"),
        (
            without(RSAAlgorithm.to_jwk(RSA_1024.public_key(), as_dict=True), "key_ops"),
            "1024 bits is too short",
        ),
        (without(ECAlgorithm.to_jwk(P384.public_key(), as_dict=True), "alg"), "only P-256"),
        (without(ECAlgorithm.to_jwk(K256.public_key(), as_dict=True), "alg"), "only P-256"),
        (
            OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True),
            "only public keys of|can't be read",
        ),
        (7, "no JSON object"),
        (None, "no JSON object"),
    ],
)
def test_a_key_of_a_set_that_is_not_safe_is_passed_over(entry: object, why: str):
    """The good ones beside it are taken; alone it makes the set one of nothing."""
    keys, passed_over = parse_jwks(json.dumps({"keys": [entry, RS]}).encode())
    assert [key.key_id for key in keys] == ["RS256"]
    (said,) = passed_over
    assert re.search(why, said)
    with pytest.raises(ValueError, match="no key that can be used"):
        parse_jwks(json.dumps({"keys": [entry]}).encode())


def test_key_ops_and_alg_may_be_left_out_or_right():
    """As identity providers do."""
    entries = [without(ES, "alg", "use"), {**RS, "key_ops": ["verify"]}, {**ED, "alg": "EdDSA"}]
    keys, passed_over = parse_jwks(json.dumps({"keys": entries}).encode())
    assert [key.algorithm_name for key in keys] == ["ES256", "RS256", "EdDSA"]
    assert passed_over == []


@given(
    st.dictionaries(
        st.sampled_from(["kty", "k", "alg", "use", "key_ops", "crv", "x", "y", "n", "e", "kid", "d"]),
        st.one_of(
            st.none(), st.integers(), st.lists(st.text(max_size=6), max_size=2), st.text(max_size=12),
            st.sampled_from(["oct", "RSA", "EC", "OKP", "HS256", "RS256", "P-256", "Ed25519", "verify", ES["x"], ES["y"], RS["n"]]),
        ),
    )
)  # fmt: skip
def test_no_entry_breaks_a_set_or_brings_a_weak_key(entry: dict[str, Any]):
    """Whatever stands in it; a symmetric key is never taken."""
    keys, passed_over = parse_jwks(json.dumps({"keys": [entry, RS]}).encode())
    assert len(keys) + len(passed_over) == 2
    assert all(key.algorithm_name in ("RS256", "ES256", "EdDSA") for key in keys)


async def test_keys_that_are_passed_over_are_logged_when_that_changes(caplog: pytest.LogCaptureFixture):
    """Not at every fetch."""
    caplog.set_level(logging.WARNING)
    clock, source = HeldClock(), Source(Signer("RS256", kid="a"))
    keys = KeySet("x", clock, refresh_s=300, retry_s=10, fetch=source.fetch)
    for entries in (
        [ES],
        [ES, {"kty": "oct", "k": "", "kid": "s"}],
        [ES, {"kty": "oct", "k": "", "kid": "s"}],
        [ES],
    ):
        source.document = json.dumps({"keys": entries}).encode()
        await keys.refresh()
        clock.now += 11
    (line,) = logged(caplog.records, "jwks_keys_skipped")
    assert line["count"] == 1
    assert line["reasons"][0].startswith("key 's': a symmetric key")


@pytest.mark.parametrize(
    "fail",
    [
        lambda: aiohttp.InvalidURL("http://u:sesame@h/"),
        lambda: aiohttp.ServerDisconnectedError("sesame"),
        lambda: FileNotFoundError(2, "No such file", "/sesame"),
        lambda: TimeoutError(),
    ],
)
async def test_the_address_of_a_set_is_not_logged(
    fail: Callable[[], Exception], caplog: pytest.LogCaptureFixture
):
    """It may hold credentials, also in its query."""
    caplog.set_level(logging.WARNING)
    source = Source()
    source.error = fail()
    await KeySet("http://u:sesame@h/", HeldClock(), refresh_s=300, retry_s=10, fetch=source.fetch).refresh()
    (line,) = logged(caplog.records, "jwks_fetch_failed")
    assert "sesame" not in line["reason"]


async def test_an_error_answer_is_logged_by_its_status(caplog: pytest.LogCaptureFixture):
    """Without the query."""
    caplog.set_level(logging.WARNING)
    async with JwksServer() as server:
        server.status = 404
        keys = KeySet(f"{server.url}?api=sesame", HeldClock(), refresh_s=300, retry_s=10)
        await keys.refresh()
    (line,) = logged(caplog.records, "jwks_fetch_failed")
    assert line["reason"] == "the server answered 404"


class Source:
    """A key set that counts how often it is fetched, and may fail or wait."""

    def __init__(self, *signers: Signer) -> None:
        self.document = json.dumps(jwks(*signers)).encode()
        self.fetches = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def fetch(self, source: str) -> bytes:
        self.fetches += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.document


async def test_an_unknown_kid_is_fetched_once_in_a_while():
    """A kid that is not known makes one fetch; until the retry time has passed further ones make none."""
    clock, source = HeldClock(), Source(Signer("RS256", kid="a"))
    keys = KeySet("x", clock, refresh_s=300, retry_s=10, fetch=source.fetch)
    assert len(await keys.find("a", "RS256")) == 1
    for _ in range(5):
        assert await keys.find("b", "RS256") == []
    assert source.fetches == 1
    clock.now += 11
    source.document = json.dumps(jwks(Signer("RS256", kid="b"))).encode()
    assert len(await keys.find("b", "RS256")) == 1
    assert source.fetches == 2


async def test_many_who_ask_share_one_fetch():
    """While a fetch is under way everyone waits for that one."""
    clock, source = HeldClock(), Source(Signer("RS256", kid="a"))
    source.gate.clear()
    keys = KeySet("x", clock, refresh_s=300, retry_s=10, fetch=source.fetch)
    asked = [asyncio.create_task(keys.find("a", "RS256")) for _ in range(10)]
    await asyncio.sleep(0)
    source.gate.set()
    assert [len(found) for found in await asyncio.gather(*asked)] == [1] * 10
    assert source.fetches == 1


async def test_a_fetch_that_fails_keeps_the_keys():
    """An old set is fetched in the background; where that fails, or is no set, the old keys stay."""
    clock, source = HeldClock(), Source(Signer("RS256", kid="a"))
    keys = KeySet("x", clock, refresh_s=300, retry_s=10, fetch=source.fetch)
    await keys.refresh()
    for broken in (OSError("away"), None):
        source.error, source.document = broken, b"<html>"
        clock.now += 301
        assert len(await keys.find("a", "RS256")) == 1  # at once, by the old keys
        await keys.close()
        clock.now += 11
        await keys.refresh()
        assert len(keys.keys) == 1


async def test_the_algorithm_must_be_the_keys():
    """A kid alone is not enough: the key must be of the token's algorithm."""
    keys = KeySet("x", HeldClock(), refresh_s=300, retry_s=10, fetch=Source(Signer("RS256", kid="a")).fetch)
    assert await keys.find("a", "HS256") == []
    assert len(await keys.find("", "RS256")) == 1


async def test_documents_come_from_urls_and_files(tmp_path):
    """A set is read from http, from a path and from file:, an error status is an error, and so is a huge
    document.
    """
    signer = Signer("EdDSA", kid="e")
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(jwks(signer)))
    for source in (str(file), f"file://{file}"):
        assert parse_jwks(await fetch_document(source))[0][0].algorithm_name == "EdDSA"
    async with JwksServer(signer) as server:
        assert parse_jwks(await fetch_document(server.url))[0][0].key_id == "e"
        server.document = {"keys": ["x" * 2_000_000]}
        with pytest.raises(ValueError, match="more than"):
            await fetch_document(server.url)
        server.status = 500
        keys = KeySet(server.url, HeldClock(), refresh_s=300, retry_s=10)
        await keys.refresh()
        assert keys.keys == ()
