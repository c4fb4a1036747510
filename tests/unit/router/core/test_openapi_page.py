"""The page of the HTTP API: all of the document, and nothing of anybody else's."""

import re

from router.core.control_problems import ProblemCode
from router.core.openapi import document
from router.core.openapi_page import page
from router.core.verbs import VERBS

PAGE = page(document("1.2.3"))


def test_it_tells_every_verb_and_every_code():
    """A problem's ``type`` leads to its code."""
    for name in VERBS:
        assert f"/v1/{name}</code>" in PAGE
        assert f'id="{name}"' in PAGE
    for code in ProblemCode:
        assert f'id="{code.value}"' in PAGE


def test_it_needs_nothing_else():
    """No script, no picture, no style from elsewhere."""
    assert "<script" not in PAGE
    assert not re.search(r'(src|href)="(?!#|openapi\.json)', PAGE)


def test_what_it_shows_is_escaped():
    """Placeholders in angle brackets are text."""
    assert "room.&lt;room&gt;" in PAGE
    assert "<room>" not in PAGE
