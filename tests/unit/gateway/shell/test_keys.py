"""Keys for checking tokens."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.tokens import JwksServer, Signer, jwks

from gateway.shell.keys import KeySet, fetch_document, parse_jwks, public_key, secret_key
from warren.errors import SettingsError


class HeldClock:
    """Time in the test's hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall_us(self) -> int:
        return int(self.now * 1e6)


def test_each_public_key_is_bound_to_its_family():
    """An RSA key is good for RS256 alone, P-256 for ES256, Ed25519 for EdDSA."""
    for algorithm in ("RS256", "ES256", "EdDSA"):
        assert public_key(Signer(algorithm).public_pem).algorithm == algorithm


@pytest.mark.parametrize("load", [lambda: public_key("no PEM"), lambda: secret_key("short")])
def test_unusable_keys_name_the_variable(load):
    """A key that can't be used is a settings problem that names its variable and not its value."""
    with pytest.raises(SettingsError, match="WARREN_GATEWAY_JWT_"):
        load()


def test_a_set_keeps_what_it_can_use():
    """Keys for encryption, of unknown families and broken ones are passed over; a set of nothing is an error."""
    good = Signer("ES256", kid="a").jwk()
    document = {"keys": [good, {**good, "use": "enc"}, {"kty": "XXX"}, 7, {**good, "x": "?"}]}
    (key,) = parse_jwks(json.dumps(document).encode())
    assert (key.kid, key.algorithm) == ("a", "ES256")
    for nothing in (b"{}", b"[]", b"{", b'{"keys": []}', b'{"keys": {}}'):
        with pytest.raises(ValueError, match=r"\S"):
            parse_jwks(nothing)


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
    """A set is read from http, from a path and from file:, an error status is an error, and so is a huge document."""
    signer = Signer("EdDSA", kid="e")
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(jwks(signer)))
    for source in (str(file), f"file://{file}"):
        assert parse_jwks(await fetch_document(source))[0].algorithm == "EdDSA"
    async with JwksServer(signer) as server:
        assert parse_jwks(await fetch_document(server.url))[0].kid == "e"
        server.document = {"keys": ["x" * 2_000_000]}
        with pytest.raises(ValueError, match="more than"):
            await fetch_document(server.url)
        server.status = 500
        keys = KeySet(server.url, HeldClock(), refresh_s=300, retry_s=10)
        await keys.refresh()
        assert keys.keys == ()
