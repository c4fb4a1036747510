"""Tokens that an identity provider would give out, and those that it never would."""

from __future__ import annotations

from typing import get_args

import aiohttp
import jwt
import pytest
from tests.support.tokens import SECRET, Algorithm, JwksServer, Signer, confused_token, jwks, unsigned_token


def test_a_shared_secret_signs() -> None:
    """PyJWT takes an HS256 token with the secret and refuses it with another."""
    token = Signer().token("bob", rooms=["chat:*"])
    assert jwt.decode(token, SECRET, ["HS256"])["rooms"] == ["chat:*"]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, SECRET[::-1], ["HS256"])


@pytest.mark.parametrize("algorithm", [each for each in get_args(Algorithm) if each != "HS256"])
def test_key_pairs_sign_and_their_key_set_proves_it(algorithm: Algorithm) -> None:
    """A token holds against its signer's entry of the key set and against its PEM, and not against another
    key.
    """
    signer, other = Signer(algorithm, kid="one"), Signer(algorithm, kid="two")
    keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(jwks(signer, other)).keys}
    token = signer.token()
    assert jwt.get_unverified_header(token)["kid"] == "one"
    assert jwt.decode(token, keys["one"], [algorithm])["sub"] == "ann"
    assert jwt.decode(token, signer.public_pem, [algorithm])["sub"] == "ann"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, keys["two"], [algorithm])


def test_bad_tokens_are_bad() -> None:
    """A stale token, an unsigned one and one with confused algorithms are refused by a sound check."""
    signer = Signer("RS256", kid="one")
    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(signer.token(expires_in_s=-60), signer.public_pem, ["RS256"])
    for bad in (unsigned_token(), confused_token(signer)):
        with pytest.raises(jwt.InvalidAlgorithmError):
            jwt.decode(bad, signer.public_pem, ["RS256"])
    with pytest.raises(ValueError, match="shared secret"):
        jwks(Signer())


async def test_the_key_set_is_served_and_can_change() -> None:
    """The server gives out what its document is at the moment, with its status, and counts."""
    async with JwksServer(Signer("ES256", kid="one")) as server, aiohttp.ClientSession() as session:
        async with session.get(server.url) as answer:
            assert (await answer.json())["keys"][0]["kid"] == "one"
        server.document, server.status = {"keys": []}, 500
        async with session.get(server.url) as answer:
            assert (answer.status, await answer.json()) == (500, {"keys": []})
        assert server.requests == 2
