"""The page about broker users: every kind with its patterns, as a table and as commands."""

import re

import pytest
from scripts.chart.broker_users import Rights, backends, service_permissions
from scripts.docs.broker_users_page import broker_users_page, command

from warren.topology import Topology

PAGE = broker_users_page("<!-- made -->")


@pytest.mark.parametrize("rights", backends(Topology()), ids=lambda rights: rights.kind)
def test_each_kind_has_a_row_and_a_command(rights: Rights) -> None:
    """With the patterns that are tested on a real broker."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| **{rights.kind}** |")]
    cells = [cell.strip(" `").replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip("|"))]
    assert cells[2:] == list(rights.permissions.values())
    assert command(f"warren-{rights.kind}", rights.permissions) in PAGE.splitlines()


def test_nothing_is_left_to_fill_in() -> None:
    """Under its title it says that it is made, so that nobody edits it."""
    assert PAGE.splitlines()[:3] == ["# Broker users for backends", "", "<!-- made -->"]
    assert PAGE.count("<!--") == 1
    assert command("warren", service_permissions("warren")) in PAGE.splitlines()
    assert '    "warren.replies",' in PAGE.splitlines()
