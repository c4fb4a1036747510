"""Print a token for a user that lets it join and publish to some rooms, with PyJWT (`pip install pyjwt`).

JWT_SECRET=… python mint_token.py USER [JOIN,…] [PUBLISH,…]
"""

import os
import sys
import time

import jwt

LIFETIME_S = 600


def mint(secret: str, user: str, join: list[str] | None = None, publish: list[str] | None = None) -> str:
    """Return a token that is good for ten minutes. Without patterns the namespaces alone decide."""
    now = int(time.time())
    claims: dict[str, object] = {"sub": user, "iat": now, "exp": now + LIFETIME_S}
    rights = {"join": join, "publish": publish}
    if any(patterns is not None for patterns in rights.values()):
        claims["warren"] = {name: patterns for name, patterns in rights.items() if patterns is not None}
    return jwt.encode(claims, secret, algorithm="HS256")


if __name__ == "__main__":
    user, *patterns = sys.argv[1:]
    print(mint(os.environ["JWT_SECRET"], user, *(each.split(",") for each in patterns)))
