"""The pages made from the code, and the check that they are up to date."""

from pathlib import Path

import pytest
from scripts.docs import generate_docs


def test_pages_are_made_once_and_drift_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check fails while a page is missing or edited, names it, and passes once the pages are made."""
    monkeypatch.setattr(generate_docs, "DOCS", tmp_path)
    assert generate_docs.main(["--check"]) == 1
    assert generate_docs.main([]) == 0
    assert generate_docs.main(["--check"]) == 0
    page = tmp_path / "settings.md"
    page.write_text(page.read_text().replace("WARREN_SHARDS", "WARREN_SHARTS"))
    capsys.readouterr()
    assert generate_docs.main(["--check"]) == 1
    assert "docs/settings.md is not what the code says; run scripts/docs/generate" in capsys.readouterr().err
    assert "WARREN_SHARTS" in page.read_text()
    assert generate_docs.main(["--verbose"]) == 2


def test_the_settings_page_has_every_variable_once_under_its_owner() -> None:
    """Shared variables come first and once; each service's own stand under its name, each a whole row."""
    page = generate_docs.settings_page()
    shared, _, rest = page.partition("## Gateway\n")
    gateway, _, router = rest.partition("## Router\n")
    assert shared.count("| `WARREN_AMQP_URL` |") == 1
    assert "`WARREN_GATEWAY_PORT`" in gateway
    assert "| `WARREN_ROUTER_" not in gateway
    assert "| `WARREN_GATEWAY_" not in router
    assert "`WARREN_ROUTER_PREFETCH`" in router
    for line in page.splitlines():
        if line.startswith("| `WARREN_"):
            assert line.replace("\\|", "").count("|") == 5, line


def test_the_topology_page_names_all_that_is_declared() -> None:
    """Every exchange, every kind of queue and every binding is on the page; the shards are one row."""
    page = generate_docs.topology_page()
    for name in (
        "warren.ingress",
        "warren.egress",
        "warren.routers",
        "warren.notify",
        "warren.notify.dead",
        "warren.dead",
    ):
        assert f"`{name}`" in page
    assert "| `warren.ingress` | `0 … 1` | `warren.log.0 … 1` |" in page
    assert "warren.log.1`" not in page
    assert "`warren.gateway.<gateway>.<nonce>`" in page
