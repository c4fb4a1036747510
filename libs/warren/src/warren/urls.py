"""URLs: the addresses of other services that an operator gives, taken apart at the start, so that nothing
wrong is only found later.

A broker's address is parsed here for everyone; an HTTP one is checked, and a host to listen on. What is said
of a wrong one never repeats a part of it: a password with a ``/`` in it looks like a host and a path. Nothing
is resolved, opened or read here.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode

FORM = "amqp://user:password@host:port/vhost or amqps://…"
ESCAPES = (
    "in user, password and vhost write % as %25, / as %2F, ? as %3F, # as %23, @ as %40, : as %3A, [ as %5B, "
    "a comma as %2C and a blank as %20"
)
SCHEMES = ("amqp", "amqps")
_HTTP_SCHEMES = ("http", "https")
TLS_FILES = ("cafile", "capath", "certfile", "keyfile")
_TLS_OPTIONS = (*TLS_FILES, "cadata", "no_verify_ssl")
OPTIONS = ("heartbeat", "timeout", "auth", "name", *_TLS_OPTIONS)

_AUTHORITY = re.compile(r"(?s)([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)(.*)")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNSEEN = re.compile(r"[\x00-\x20\x7f]")


class WrongURL(ValueError):
    """What is wrong with an address, without a part of it."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """One address of a broker, in parts; ``user`` and ``password`` are "" where it names none."""

    scheme: str
    host: str  # an IPv6 address without its brackets
    port: int | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    vhost: str | None = None  # None: it names none, which is the broker's "/"
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def tls(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheme == "amqps"

    @property
    def url(self) -> str:
        """It as a URL with everything escaped. It holds the password."""
        text = f"{self.scheme}://"
        if self.user or self.password:
            text += (
                quote(self.user, safe="")
                + (f":{quote(self.password, safe='')}" if self.password else "")
                + "@"
            )
        text += f"[{self.host}]" if ":" in self.host else self.host
        text += "" if self.port is None else f":{self.port}"
        if self.vhost is not None:
            text += "/" + ("" if self.vhost == "/" else quote(self.vhost, safe=""))
        return text + (f"?{urlencode(self.options, quote_via=quote, safe='/')}" if self.options else "")


def parse_broker(text: str) -> BrokerAddress:
    """Take an address of a broker apart. Raises WrongURL."""
    scheme, user, password, host, port, rest = _parts(text, SCHEMES)
    path, mark, query = rest.partition("?")
    vhost = None if not path else _vhost(path[1:])
    options = _options(query) if mark else {}
    if scheme == "amqp" and any(name in options for name in _TLS_OPTIONS):
        raise WrongURL("it has options for TLS, which only amqps:// speaks")
    if password and not user:
        raise WrongURL("it has a password and no user")
    return BrokerAddress(scheme, host, port, _plain(user), _plain(password), vhost, options)


def check_http(text: str) -> None:
    """Check the URL of an HTTP service. Raises WrongURL."""
    _parts(text, _HTTP_SCHEMES)


def check_listen_host(text: str) -> None:
    """Check what a service may listen on: an IP address, a host's name, or ``*`` for every address. Raises
    WrongURL.
    """
    if text == "*":
        return
    if text.startswith("["):
        raise WrongURL("an IPv6 address is written without brackets here, such as ::")
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise WrongURL(
                "is neither an IP address nor a host's name; a port has a variable of its own"
            ) from None
    elif not _name(text):
        raise WrongURL("is neither an IP address nor a host's name")


def _parts(text: str, schemes: tuple[str, ...]) -> tuple[str, str, str, str, int | None, str]:
    """Return scheme, user, password (both still escaped), host, port, and what stands behind."""
    named = " or ".join(f"{scheme}://" for scheme in schemes)
    found = _AUTHORITY.fullmatch(text)
    if found is None or found[1].lower() not in schemes:
        raise WrongURL(f"it does not begin with {named}")
    scheme, authority, rest = found[1].lower(), found[2], found[3]
    # A delimiter in a password ends the authority early; what is left of the password then stands behind it.
    if "@" in rest or "#" in rest:
        raise WrongURL("there is an @ or a # behind the host, so a delimiter in it is not escaped")
    if _UNSEEN.search(text) or "\\" in text:
        raise WrongURL("it holds a blank, a control character or a backslash that is not escaped")
    if _BROKEN_ESCAPE.search(text):
        raise WrongURL("it holds a % that is not followed by two hex digits")
    known, at, place = authority.rpartition("@")
    user, _, password = known.partition(":") if at else ("", "", "")
    if "[" in known or "]" in known:
        raise WrongURL("there is a bracket before the @ that is not escaped")
    return scheme, user, password, *_host_and_port(place), rest


def _host_and_port(place: str) -> tuple[str, int | None]:
    if place.startswith("["):
        inner, closed, behind = place[1:].partition("]")
        try:
            host = str(ipaddress.IPv6Address(inner))
        except ValueError:
            closed = ""
        if not closed or behind[:1] not in ("", ":"):
            raise WrongURL("an IPv6 address is written in brackets, such as [::1]:5672")
        port = behind[1:]
    else:
        host, _, port = place.partition(":")
        if ":" in port or "]" in place or "[" in place:
            raise WrongURL("an IPv6 address is written in brackets, such as [::1]:5672")
        if not host:
            raise WrongURL("it names no host")
        if re.fullmatch(r"[0-9.]+", host):
            _check_ipv4(host)
        elif not (host := _name(host)):
            raise WrongURL("its host is no name of a host")
    if not port:
        return host, None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535):
        raise WrongURL("its port is no number from 1 to 65535")
    return host, int(port)


def _check_ipv4(host: str) -> None:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        raise WrongURL("its host is neither an IPv4 address nor a name of a host") from None


def _name(host: str) -> str:
    """Return a host's name as DNS has it: in ASCII (IDNA, RFC 3490); empty where it is none."""
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return ""
    bare = name.removesuffix(".")
    fits = 0 < len(bare) <= 253 and all(_LABEL.fullmatch(label) for label in bare.split("."))
    return name if fits else ""


def _vhost(path: str) -> str:
    """Return the virtual host; nothing, and the single slash that many write, stand for "/"."""
    if path in ("", "/"):
        return "/"
    if "/" in path:
        raise WrongURL("its path has a / that is not escaped")
    return _plain(path)


def _plain(escaped: str) -> str:
    try:
        plain = unquote(escaped, errors="strict")
    except UnicodeDecodeError:
        raise WrongURL("what is escaped in it is not UTF-8") from None
    if "\x00" in plain or any("\ud800" <= letter <= "\udfff" for letter in plain):
        raise WrongURL("it holds what is no text")
    return plain


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:  # also UnicodeDecodeError
        raise WrongURL("its options are no name=value&name=value") from None
    options = dict(pairs)
    if len(options) != len(pairs) or any(name not in OPTIONS for name in options):
        raise WrongURL(f"each of its options is one of {', '.join(OPTIONS)}, and given once")
    for name, value in options.items():
        _check_option(name, value)
    return options


def _check_option(name: str, value: str) -> None:
    match name:
        case "heartbeat":
            wrong, rule = not _is_number(value, 0, 65_534), "a number of seconds from 0 to 65534"
        case "timeout":
            wrong, rule = not _is_number(value, 1, 86_400), "a number of seconds from 1 to 86400"
        case "auth":
            wrong, rule = value.lower() not in ("plain", "external"), "plain or external"
        case "no_verify_ssl":
            wrong, rule = value not in ("0", "1"), "0 or 1"
        case "cadata":
            wrong, rule = not _is_base64(value), "certificates in base64"
        case _:
            wrong, rule = not value, "not empty"
    if wrong:
        raise WrongURL(f"its option {name} must be {rule}")


def _is_number(text: str, least: int, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
