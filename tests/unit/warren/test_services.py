"""What clients may ask backends for: names, and the policy of each."""

import pytest

from warren.services import CACHED_SERVICES, ServicePolicy, Services, is_service


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("orders.get", True),
        ("echo", True),
        ("a-b_C.9", True),
        ("cancel", True),
        ("cancel.orders", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        (".", False),
        ("a.", False),
        (".a", False),
        ("a..b", False),
        ("orders.*", False),
        ("orders.#", False),
        ("a b", False),
        ("ä", False),
        ("a\n", False),
        ("orders.cancel", False),
        ("orders.get.cancel", False),
        ("orders.uncancel", True),
    ],
)
def test_a_service_is_named_like_a_routing_key_and_never_like_a_cancel(name: str, good: bool) -> None:
    """Words that bindings can match, and no wildcards."""
    assert is_service(name) is good


def test_the_first_pattern_that_matches_counts_and_what_none_matches_is_nobodys() -> None:
    """Nothing may be asked for unless the operator has said so."""
    first, second = ServicePolicy("orders.*", "token"), ServicePolicy("*.get", timeout_ms=100)
    services = Services([first, second])
    assert [services.policy(name) for name in ("orders.get", "users.get", "users.put")] == [
        first,
        second,
        None,
    ]
    assert Services().policy("echo") is None


def test_the_cache_of_names_has_a_limit() -> None:
    """However many names clients invent."""
    services = Services([ServicePolicy("*")])
    for number in range(CACHED_SERVICES + 100):
        services.policy(f"s{number}")
    assert services.policy.cache_info().currsize == CACHED_SERVICES
