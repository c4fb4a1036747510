"""Keep a folder of Ed25519 keys, the JWK set that Warren reads, and mint tokens with the newest key
(`pip install pyjwt cryptography`).

python signing_keys.py new FOLDER           makes a key and publishes it in FOLDER/jwks.json
python signing_keys.py token FOLDER USER    prints a token, signed with the newest key that gateways know
python signing_keys.py retire FOLDER KID    takes a key out of the set: its tokens are refused from then on
"""

import base64
import json
import os
import sys
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LIFETIME_S = 600
# A new key signs nothing for so long: until each gateway may fetch the set again (after
# WARREN_GATEWAY_JWKS_RETRY_S), and whatever caches it on the way has let go of the old one.
PUBLISHED_S = float(os.environ.get("PUBLISHED_S", "60"))


def new(folder: Path) -> str:
    """Make a key; return its id. It signs nothing until it has been published for a while."""
    folder.mkdir(parents=True, exist_ok=True)
    kid = f"{time.time_ns():x}"
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / f"{kid}.pem"
    path.touch(mode=0o600)
    path.write_bytes(private)
    publish(folder)
    return kid


def publish(folder: Path) -> None:
    """Write the public keys of the folder as a JWK set, at once or not at all."""
    keys = [
        {"kty": "OKP", "crv": "Ed25519", "x": public(path), "kid": path.stem, "alg": "EdDSA", "use": "sig"}
        for path in sorted(folder.glob("*.pem"))
    ]
    unfinished = folder / "jwks.json.new"
    unfinished.write_text(json.dumps({"keys": keys}, indent=2))
    unfinished.replace(folder / "jwks.json")


def public(path: Path) -> str:
    """Return a key's public half as a JWK has it."""
    raw = load(path).public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def load(path: Path) -> Ed25519PrivateKey:
    """Return a private key."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def token(folder: Path, user: str) -> str:
    """Return a token, signed with the newest key that every gateway can know by now."""
    paths = sorted(folder.glob("*.pem"), reverse=True)
    known = [path for path in paths if path.stat().st_mtime <= time.time() - PUBLISHED_S]
    path = (known or paths[-1:])[0]
    now = int(time.time())
    claims = {"sub": user, "iat": now, "exp": now + LIFETIME_S}
    return jwt.encode(claims, load(path), algorithm="EdDSA", headers={"kid": path.stem})


def retire(folder: Path, kid: str) -> str:
    """Take a key out of the set. Its last tokens should have expired."""
    (folder / f"{kid}.pem").unlink()
    publish(folder)
    return f"{kid} is retired"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["new", where]:
            print(new(Path(where)))
        case ["token", where, user]:
            print(token(Path(where), user))
        case ["retire", where, kid]:
            print(retire(Path(where), kid))
        case _:
            sys.exit(__doc__)
