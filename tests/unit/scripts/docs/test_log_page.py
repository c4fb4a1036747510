"""The page about the log: all of the table, in the diagram and written out."""

import pytest
from scripts.docs import log_page

from router.core.shard_role import TABLE, Event, State, Step


@pytest.fixture(scope="module")
def page() -> str:
    return log_page.log_page("<!-- made -->")


@pytest.mark.parametrize("cell", TABLE, ids=lambda cell: f"{cell[0]}-{cell[1]}")
def test_each_cell_of_the_table_is_drawn(page: str, cell: tuple[State, Event]) -> None:
    """As an arrow with the event and the step."""
    (state, event), (reached, step) = cell, TABLE[cell]
    diagram = page.rpartition("```mermaid")[2].partition("```")[0]
    arrows = [line for line in diagram.splitlines() if line.strip().startswith(f"{state} --> {reached} : ")]
    assert any(str(event) in line and line.endswith(f"/ {step}") for line in arrows)


def test_every_state_event_and_step_is_explained(page: str) -> None:
    """In the words that stand behind it in the code."""
    for name in (*State, *Event, *Step):
        (row,) = [
            line for line in page.splitlines() if line.startswith(f"| **{name}** |") and line.count("|") == 3
        ][:1]
        assert len(row) > len(f"| **{name}** |  |") + 5 or name is Step.NOTHING


def test_the_page_says_that_it_is_made(page: str) -> None:
    """Under its title, so that nobody edits it."""
    assert page.splitlines()[:3] == ["# The log decides", "", "<!-- made -->"]
