"""The programs of docs/examples/auth make tokens that the gateway takes for what they say."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from pathlib import Path

import jwt
import pytest
from pydantic import SecretStr
from tests.support.eventually import eventually
from tests.support.tokens import SECRET

from gateway.core.permissions import Identity
from gateway.settings import AuthSettings
from gateway.shell.auth import Authenticator, Refusal
from warren.clock import SystemClock

EXAMPLES = Path(__file__).parents[2] / "docs/examples/auth"
PROGRAMS = {
    "mint_token.py": (sys.executable,),
    "mint_token.mjs": ("node",),
    "mint_token.go": ("go", "run"),
    "MintToken.java": ("java",),
}


async def output(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Return what a program prints on one line."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | (env or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return out.decode().strip()


@pytest.fixture
def program(request: pytest.FixtureRequest) -> tuple[str | Path, ...]:
    """Return how an example is run."""
    runner = PROGRAMS[request.param]
    if shutil.which(runner[0]) is None:
        pytest.skip(f"{runner[0]} is not installed")
    return (*runner, EXAMPLES / request.param)


@pytest.mark.parametrize("program", PROGRAMS, indirect=True)
async def test_a_token_says_what_it_was_asked_to(program: tuple[str | Path, ...]) -> None:
    """User, rights and a life of ten minutes, with the claims' default names; without rights, none."""
    authenticator = Authenticator(
        AuthSettings(jwt_secret=SecretStr(SECRET), jwt_require_expiry=True), SystemClock()
    )
    env = {"JWT_SECRET": SECRET}
    for arguments, expected in [
        (["o'brien&co@example.org"], Identity("o'brien&co@example.org")),
        (["ann", "team:7,news:*"], Identity("ann", ("team:7", "news:*"))),
        (["ann", "team:7", "team:7,wall"], Identity("ann", ("team:7",), ("team:7", "wall"))),
    ]:
        began = time.time()
        identity = await authenticator.check(await output(*program, *arguments, env=env))
        assert (identity.user, identity.join, identity.publish) == (
            expected.user,
            expected.join,
            expected.publish,
        )
        assert identity.expires_at is not None
        assert began + 590 < identity.expires_at < time.time() + 610


def kid_of(token: str) -> str:
    """Return the id of the key that a token says it is signed with."""
    return str(jwt.get_unverified_header(token)["kid"])


async def test_keys_are_rotated_without_a_refusal(tmp_path: Path) -> None:
    """A new key signs nothing until it is known everywhere; a key that is retired lets nobody in any more."""

    async def keys(*arguments: str, published_s: str = "0") -> str:
        what, *rest = arguments
        program = (sys.executable, EXAMPLES / "signing_keys.py", what, tmp_path / "keys", *rest)
        return await output(*program, env={"PUBLISHED_S": published_s})

    first = await keys("new")
    # a gateway that looks at the file again whenever it may
    settings = AuthSettings(jwks=str(tmp_path / "keys" / "jwks.json"), jwks_refresh_s=1e-6, jwks_retry_s=1e-6)
    gateway = Authenticator(settings, SystemClock())
    await gateway.start()
    old = await keys("token", "ann")
    assert (await gateway.check(old)).user == "ann"
    await keys("new")
    # of the two keys, the old one still signs: not every gateway may know the new one yet
    assert kid_of(await keys("token", "ann", published_s="3600")) == first
    new = await keys("token", "ann")
    assert kid_of(new) != first
    for token in (old, new):
        assert (await gateway.check(token)).user == "ann"
    assert sorted(path.stat().st_mode & 0o777 for path in (tmp_path / "keys").glob("*.pem")) == [0o600] * 2
    await keys("retire", first)

    async def refused() -> bool:
        try:
            await gateway.check(old)
        except Refusal:
            return True
        return False

    await eventually(refused)
    assert (await gateway.check(new)).user == "ann"
    await gateway.stop()
