"""Tokens and whom they make known."""

from __future__ import annotations

import base64
import hashlib
import hmac
import inspect
import json
import math
import re
import time
from pathlib import Path

import pytest
from tests.support.tokens import SECRET, Signer, confused_token, unsigned_token

from gateway.settings import AuthSettings
from gateway.shell.auth import (
    MAX_SHOWN_BYTES,
    Authenticator,
    Refusal,
    key_problems,
    offered_grant,
    offered_token,
)
from warren.clock import SystemClock
from warren.contract.client_frames import GRANT_MAX
from warren.errors import SettingsError, Unauthorized, code_of
from warren.settings import describe


def authenticator(**settings: object) -> Authenticator:
    return Authenticator(AuthSettings(**({"jwt_secret": SECRET} | settings)), SystemClock())


async def refusal(token: str, **settings: object) -> Refusal:
    with pytest.raises(Unauthorized) as caught:
        await authenticator(**settings).check(token)
    assert isinstance(caught.value, Refusal)
    assert code_of(caught.value) == "unauthorized"
    assert not token or token not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
async def test_all_four_algorithms_let_in(algorithm):
    """A token of each algorithm makes its user known, until the token's end and the leeway."""
    signer = Signer(algorithm)
    keys = {} if algorithm == "HS256" else {"jwt_public_key": signer.public_pem}
    identity = await authenticator(**keys).check(signer.token("ann", expires_in_s=60))
    assert identity.user == "ann"
    assert identity.expires_at == pytest.approx(time.time() + 65, abs=2)
    assert (identity.join, identity.publish, identity.anonymous) == (None, None, False)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "missing"),
        ("abc", "malformed"),
        ("x" * 20_000, "malformed"),
        ("\ud800.é.x", "malformed"),
        (unsigned_token(), "algorithm"),
        (Signer(secret="another secret, just as long as it must be").token(), "signature"),
        (Signer().token(expires_in_s=-60), "expired"),
        (Signer().token(nbf=time.time() + 86_400), "claims"),
        (Signer().token(sub=None), "claims"),
        (Signer().token("@root"), "claims"),
        (Signer().token("a" * 200), "claims"),
        (Signer().token(warren={"join": 7}), "claims"),
        (Signer().token(warren={"join": [1]}), "claims"),
        (Signer().token(expires_in_s=None, exp="soon"), "claims"),
        (Signer().token(headers={"kid": "nobody"})[:-2], "malformed"),
    ],
    ids=lambda value: (
        value if value.isalpha() and len(value) < 20 else "token"
    ),  # tokens differ from run to run, names must not
)
async def test_bad_tokens_are_refused_with_a_reason(token, reason):
    """Each token that does not hold is Unauthorized with a reason for the counter, and the text never repeats
    it.
    """
    assert (await refusal(token)).reason == reason


@pytest.mark.parametrize("claim", ["exp", "nbf"])
@pytest.mark.parametrize("value", ["soon", "4102444800", True, -1, 1e13, math.nan, [], {}])
async def test_a_time_is_a_number(claim, value):
    """A library that takes texts and truth values for times would read ``true`` as one second after 1970."""
    found = await refusal(signed({"sub": "ann", claim: value}, SECRET.encode()))
    assert (found.reason, str(found)) == ("claims", f"claim {claim} is no time")


async def test_a_time_that_is_null_is_none():
    """As where an identity provider fills in a template."""
    token = signed({"sub": "ann", "exp": None, "nbf": None}, SECRET.encode())
    assert (await authenticator().check(token)).expires_at is None
    assert (await refusal(token, jwt_require_expiry=True)).reason == "claims"


async def test_clocks_may_differ_by_the_leeway():
    """At both ends of a token's life."""
    for times in ({"expires_in_s": -20}, {"nbf": time.time() + 20}):
        token = Signer().token("ann", **times)
        assert (await authenticator(jwt_leeway_s=60).check(token)).user == "ann"
        assert (await refusal(token, jwt_leeway_s=5)).reason in ("expired", "claims")


async def test_when_a_token_was_made_is_not_judged():
    """By a clock that is ahead, or in words."""
    for made_at in (time.time() + 3_600, "yesterday"):
        token = signed({"sub": "ann", "iat": made_at}, SECRET.encode())
        assert (await authenticator().check(token)).user == "ann"


async def test_a_key_that_does_not_fit_does_not_hide_the_right_one(tmp_path):
    """Two keys of one algorithm, and no kid in the token; whichever comes first."""
    one, two = Signer("RS256"), Signer("RS256")
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [one.jwk(), two.jwk()]}))
    auth = Authenticator(AuthSettings(jwks=str(file)), SystemClock())
    for signer in (one, two):
        assert (await auth.check(signer.token("ann"))).user == "ann"
    with pytest.raises(Refusal) as caught:
        await auth.check(Signer("RS256").token("ann"))
    assert caught.value.reason == "signature"
    await auth.stop()


async def test_a_public_key_is_never_a_secret():
    """A token signed by HMAC with the public key does not hold, whether a secret is set or not."""
    signer = Signer("RS256")
    assert (await refusal(confused_token(signer), jwt_public_key=signer.public_pem)).reason == "signature"
    assert (
        await refusal(confused_token(signer), jwt_secret="", jwt_public_key=signer.public_pem)
    ).reason == "key"


async def test_an_algorithm_may_be_switched_off():
    """A token of an algorithm that is not allowed is refused, although the key is there."""
    assert (await refusal(Signer().token(), jwt_algorithms="RS256")).reason == "algorithm"


async def test_audience_and_issuer_are_checked_where_asked_for():
    """A token must name one of the audiences and the issuer; where none is asked for any is right."""
    token = Signer().token(aud=["a", "b"], iss="idp")
    assert (await authenticator().check(token)).user == "ann"
    assert (await authenticator(jwt_audience="b,c", jwt_issuer="idp").check(token)).user == "ann"
    assert (await refusal(token, jwt_audience="c")).reason == "claims"
    assert (await refusal(token, jwt_issuer="other")).reason == "claims"
    assert (await refusal(Signer().token(), jwt_audience="a")).reason == "claims"


@pytest.mark.parametrize(
    ("claims", "token_id", "issued_s"),
    [
        ({"jti": "t1", "iat": 1_700_000_000.9}, "t1", 1_700_000_000),
        ({"jti": "t" * 257, "iat": None}, "", 0),
        ({"jti": 7, "iat": "yesterday"}, "", 0),
        ({"iat": -5}, "", 0),
        ({"iat": 1e300}, "", 0),
    ],
)
async def test_what_a_token_is_revoked_by_is_known(claims, token_id, issued_s):
    """Its id and when it was issued; what can't be either is as if it were not there."""
    identity = await authenticator().check(signed({"sub": "ann", **claims}, SECRET.encode()))
    assert (identity.token_id, identity.issued_s) == (token_id, issued_s)


async def test_claims_may_be_named_and_nested():
    """User and patterns come from the named claims, by whole name or by path, as a list or as words."""
    auth = authenticator(jwt_user_claim="id.name", jwt_join_claim="https://x/join", jwt_publish_claim="p")
    token = Signer().token(sub=None, id={"name": "bob"}, p="a:* b", **{"https://x/join": ["c"]})
    identity = await auth.check(token)
    assert (identity.user, identity.join, identity.publish) == ("bob", ("c",), ("a:*", "b"))
    assert identity.watch is None
    token = Signer().token(warren={"join": [], "publish": "a", "watch": ["@bob"]})
    identity = await authenticator().check(token)
    assert (identity.join, identity.publish, identity.watch) == ((), ("a",), ("@bob",))


@pytest.mark.parametrize(
    "extra", [{"jti": 7}, {"sub": 42}, {"sub": None, "jti": ["x"]}, {"sub": {"a": 1}, "iss": 5}]
)
async def test_only_the_claim_that_names_the_user_is_judged_as_one(extra):
    """Whatever kind ``sub`` and ``jti`` are of where another claim names the user."""
    token = signed({"sub": "x", "email": "o'brien@example.org", **extra}, SECRET.encode())
    assert (await authenticator(jwt_user_claim="email").check(token)).user == "o'brien@example.org"


@pytest.mark.parametrize(
    ("claims", "settings", "said"),
    [
        ({"sub": 42}, {}, "claim sub: is no text; it holds the user's name: 1 to 127 characters"),
        ({"sub": None}, {}, "claim sub: is missing; it holds the user's name: 1 to 127 characters"),
        ({"sub": "a b"}, {}, "claim sub: is no user's name: 1 to 127 characters"),
        ({"sub": "ann", "id": {"n": 7}}, {"jwt_user_claim": "id.n"}, "claim id.n: is no text"),
        ({"sub": "ann", "aud": "x"}, {"jwt_audience": "a"}, "claim aud: names none of the audiences"),
        ({"sub": "ann"}, {"jwt_audience": "a"}, "claim aud: is missing"),
        ({"sub": "ann", "iss": "x"}, {"jwt_issuer": "a"}, "claim iss: is not the issuer"),
        ({"sub": "ann", "iss": 7}, {"jwt_issuer": "a"}, "claim iss: is not the issuer"),
        ({"sub": "ann", "exp": "soon"}, {}, "claim exp is no time"),
    ],
)
async def test_the_reason_names_the_claim_and_the_rule(claims, settings, said):
    """So that whoever makes the tokens knows what to mend, and never that they are malformed where they are
    not.
    """
    found = await refusal(signed(claims, SECRET.encode()), **settings)
    assert found.reason == "claims"
    assert said in str(found)


async def test_a_token_signed_with_an_empty_key_is_refused(tmp_path):
    """Also where a key set publishes that key, or another symmetric one."""
    file = tmp_path / "jwks.json"
    keys = [{"kty": "oct", "k": ""}, {"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"}]
    file.write_text(json.dumps({"keys": [*keys, Signer("RS256", kid="a").jwk()]}))
    auth = Authenticator(AuthSettings(jwks=str(file)), SystemClock())
    await auth.start()
    for key in (b"", b"secret"):
        with pytest.raises(Refusal) as caught:
            await auth.check(signed({"sub": "eve"}, key))
        assert caught.value.reason == "key"
    await auth.stop()


def signed(claims: object, key: bytes) -> str:
    """Return a token of HS256 with any claims and any key, which a library would not make."""

    def b64(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    text = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{text}.{b64(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


async def test_claims_say_what_presence_tells_of_a_user():
    """Whose presence it may watch, where it is hidden, and what is shown: by our own claims, and by those
    that namespaces name.
    """
    ours = {"watch": "chat:* @bob", "hidden": ["vip:*"], "info": {"status": "on call"}}
    token = signed({"sub": "ann", "warren": ours, "profile": {"name": "Ann"}}, SECRET.encode())
    auth = Authenticator(
        AuthSettings(jwt_secret=SECRET), SystemClock(), info_claims=("profile", "profile.name", "none")
    )
    found = await auth.check(token)
    assert (found.watch, found.hidden) == (("chat:*", "@bob"), ("vip:*",))
    assert found.infos == (
        ("", b'{"status":"on call"}'),
        ("profile", b'{"name":"Ann"}'),
        ("profile.name", b'"Ann"'),
    )


@pytest.mark.parametrize(("claim", "hidden"), [(True, ("*",)), (False, ()), ("a b", ("a", "b")), (None, ())])
async def test_a_user_may_be_hidden_everywhere(claim, hidden):
    """By true; else where the patterns match."""
    token = signed({"sub": "ann", "warren": {"hidden": claim}}, SECRET.encode())
    assert (await authenticator().check(token)).hidden == hidden
    assert (
        await refusal(signed({"sub": "ann", "warren": {"hidden": 5}}, SECRET.encode()))
    ).reason == "claims"


@pytest.mark.parametrize("info", ["x" * 2_000, "half of \ud83d"], ids=["large", "half"])
async def test_a_claim_that_can_not_be_shown_is_passed_over(info):
    """It may be there for another service: it keeps nobody out."""
    token = signed({"sub": "ann", "warren": {"info": info}}, SECRET.encode())
    assert (await authenticator().check(token)).infos == ()


async def test_expiry_may_be_required():
    """Without exp a token lives for ever, unless exp is required."""
    token = Signer().token(expires_in_s=None)
    assert (await authenticator().check(token)).expires_at is None
    assert (await refusal(token, jwt_require_expiry=True)).reason == "claims"


def test_guests_have_names_within_the_rule():
    """An anonymous client gets the name it chose or a made-up one, and a name out of the rule is refused."""
    auth = authenticator(auth="anonymous")
    assert auth.anonymous
    assert auth.guest("ann").user == "ann"
    assert auth.guest("").user != auth.guest("").user
    assert auth.guest("").anonymous
    with pytest.raises(Refusal):
        auth.guest("@x")


def test_unusable_keys_are_all_told():
    """A secret that is too short and a key that is none are two problems."""
    with pytest.raises(SettingsError) as caught:
        authenticator(jwt_secret="short", jwt_public_key="none")
    assert len(caught.value.problems) == 2
    assert key_problems(AuthSettings(jwt_secret="short", jwt_public_key="none")) == caught.value.problems
    assert key_problems(AuthSettings(jwt_secret=SECRET)) == []


async def test_readiness_says_where_keys_are_lacking(tmp_path):
    """A set that can't be fetched is a reason not to be ready; once it can, it is none."""
    file = tmp_path / "jwks.json"
    auth = authenticator(jwt_secret="", jwks=str(file), jwks_retry_s=0.000001)
    await auth.start()
    assert "no key" in str(auth.lacking())
    await auth.stop()
    file.write_text(json.dumps({"keys": [Signer("RS256", kid="a").jwk()]}))
    await auth.start()
    assert auth.lacking() is None
    await auth.stop()


@pytest.mark.parametrize(
    ("query", "authorization", "subprotocols", "token"),
    [
        ({"token": "q"}, "Bearer h", ["bearer.s"], "q"),
        ({}, "Bearer h", ["bearer.s"], "h"),
        ({}, "bearer  h ", [], "h"),
        ({}, "Basic h", ["warren.v1", "bearer.s"], "s"),
        ({"token": ""}, "", ["warren.v1"], ""),
    ],
)
def test_where_a_token_is_looked_for(query, authorization, subprotocols, token):
    """The query goes before the header, and that before the subprotocol."""
    assert offered_token(query, authorization, subprotocols) == token


@pytest.mark.parametrize(
    ("query", "subprotocols", "grant"),
    [
        ({"grant": "q"}, ["grant.s"], "q"),
        ({}, ["warren.v1", "bearer.t", "grant.s.mac"], "s.mac"),
        ({"token": "t"}, ["warren.v1"], ""),
        ({"grant": "x" * GRANT_MAX}, [], "x" * GRANT_MAX),
        ({"grant": "x" * (GRANT_MAX + 1)}, [], ""),
    ],
)
def test_where_a_grant_is_looked_for(query, subprotocols, grant):
    """Where a token is; one that is too long is none, so that nobody keeps it."""
    assert offered_grant(query, subprotocols) == grant


async def test_the_claims_that_backends_are_shown_are_kept():
    """Those that were chosen and are there, also nested ones; without a choice none is kept."""
    token = Signer().token("ann", plan="gold", org={"id": 7, "name": "x"}, secret="s")
    chosen = Authenticator(
        AuthSettings(jwt_secret=SECRET), SystemClock(), shown_claims=("sub", "plan", "org.id", "absent")
    )
    assert json.loads((await chosen.check(token)).claims) == {"sub": "ann", "plan": "gold", "org.id": 7}
    assert (await authenticator().check(token)).claims == b""


async def test_claims_that_are_too_much_to_keep_are_refused():
    """The reason names them, and how much they may have."""
    chosen = Authenticator(AuthSettings(jwt_secret=SECRET), SystemClock(), shown_claims=("blob",))
    with pytest.raises(Refusal) as caught:
        await chosen.check(Signer().token("ann", blob="x" * MAX_SHOWN_BYTES))
    assert (caught.value.reason, str(caught.value)) == (
        "claims", f"the claims blob have more than {MAX_SHOWN_BYTES} bytes"
    )  # fmt: skip


def test_a_guest_without_a_name_is_nameless():
    """Its made-up name says nothing about who it is."""
    anonymous = Authenticator(AuthSettings(auth="anonymous"), SystemClock())
    assert (anonymous.guest("").nameless, anonymous.guest("kim").nameless) == (True, False)


GUIDE = Path(__file__).parents[4] / "docs" / "auth.md"


def test_the_guide_has_every_claim_and_every_reason():
    """Each claim that a setting names, with its default, and each word that refusals are counted by."""
    text = GUIDE.read_text(encoding="utf-8")
    for variable in describe(AuthSettings):
        if variable.name.endswith("_CLAIM"):
            assert f"| `{variable.default}` | `{variable.name}` |" in text
    source = Path(inspect.getfile(Authenticator)).read_text(encoding="utf-8")
    reasons = set(re.findall(r'Refusal\(\s*"(\w+)"', source))
    assert len(reasons) == 7
    assert all(f"| `{reason}` |" in text for reason in reasons)


@pytest.mark.parametrize("value", ["\ud83d", {"deep": "\udcff"}])
async def test_claims_that_no_backend_could_read_are_refused(value):
    """Whatever a user has put into its own profile, it is no fault of ours."""
    chosen = Authenticator(AuthSettings(jwt_secret=SECRET), SystemClock(), shown_claims=("name",))
    with pytest.raises(Refusal) as caught:
        await chosen.check(Signer().token("ann", name=value))
    assert caught.value.reason == "claims"
