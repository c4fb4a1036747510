"""Where webhooks may go."""

import pytest

from router.core.webhook_addresses import is_allowed, literal_of, networks_of

NONE = networks_of(())


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "8.8.8.8"])
def test_public_addresses_are_allowed(address):
    """Without anything said."""
    assert is_allowed(address, NONE)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "no address", "",
    ],
)  # fmt: skip
def test_others_are_not(address):
    """Also where an IPv4 address is wrapped in one of IPv6: the cloud's metadata, this machine, its networks."""
    assert not is_allowed(address, NONE)


def test_networks_that_are_named_are_allowed_too():
    """And no others."""
    networks = networks_of(["10.0.0.0/8", "fd00::/8"])
    assert is_allowed("10.1.2.3", networks)
    assert is_allowed("::ffff:10.1.2.3", networks)
    assert is_allowed("fd00::1", networks)
    assert not is_allowed("192.168.0.1", networks)
    with pytest.raises(ValueError, match="host bits"):
        networks_of(["10.0.0.1/8"])


@pytest.mark.parametrize(
    ("url", "literal"),
    [
        ("http://127.0.0.1/x", "127.0.0.1"),
        ("https://[::1]:8443/x", "::1"),
        ("https://backend.example/x", ""),
        (
            "http://2130706433/",
            "",
        ),  # a name, for all that anybody makes of it: it is resolved, and judged then
    ],
)
def test_an_address_in_a_url_is_seen(url, literal):
    """It is resolved by nobody."""
    assert literal_of(url) == literal
