"""The kit's view of clients' frames, held to the vectors of all codecs and to Warren's own contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts.docs.generate_contract import files
from tests.support.vectors import vectors

import warren_conformance
from warren.contract.client_frames import CLIENT_FRAMES
from warren.contract.examples import EXAMPLES
from warren_conformance.contract import SCHEMAS, is_message, problem

CLIENT = vectors("client")
EACH = {"ids": lambda vector: vector["name"]}
# What is refused for its fields, its type or its room; the rest is syntax, which the codec sees.
SEEN = {"invalid_message", "invalid_room", "unknown_type"}


def parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        pytest.skip("the parser finds the field before it finds that this is no JSON")


@pytest.mark.parametrize("vector", [each for each in CLIENT if "message" in each], **EACH)
def test_what_the_gateway_takes_is_right(vector) -> None:
    """No client is accused of a frame that a gateway takes."""
    assert problem(json.loads(vector["frame"])) is None


@pytest.mark.parametrize("vector", [each for each in CLIENT if each.get("error") in SEEN], **EACH)
def test_what_the_gateway_refuses_for_its_fields_is_wrong(vector) -> None:
    """A client that sends it is told so."""
    frame = parsed(vector["frame"])
    assert not isinstance(frame, dict) or problem(frame) is not None


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({}, "without a type"),
        ({"type": "HERALD"}, "reserved"),
        ({"type": "JOIN", "room": "a b"}, "the field room of JOIN"),
        ({"type": "JOIN", "payload": {"since": {"epoch": "e", "seq": -1}}}, "payload.since.seq of JOIN"),
        ({"type": "CHAT", "payload": "\ud83d"}, "surrogate"),
        ({"type": "CHAT", "payload": [[]], "id": "~1"}, "the field id of CHAT"),
    ],
)
def test_the_sentence_names_the_field(frame: dict[str, object], words: str) -> None:
    """What is wrong with a frame is said so that its author finds it."""
    assert words in (problem(frame) or "")


def test_depth_counts_without_recursion() -> None:
    """128 levels are right, 129 and a hundred thousand are not."""
    for levels, right in ((128, True), (129, False), (100_000, False)):
        deep: object = 0
        for _ in range(levels):
            deep = [deep]
        assert (problem({"type": "CHAT", "payload": deep}) is None) is right


def test_examples_are_right_and_types_are_known() -> None:
    """The schemas know each frame of the contract."""
    for struct in CLIENT_FRAMES:
        for example in EXAMPLES[struct]:
            assert problem(dict(example)) is None
    assert is_message({"type": "CHAT"})
    assert is_message({"type": "deal.done"})
    assert not is_message({"type": "SEEN"})


def test_the_schemas_are_made_from_the_contract() -> None:
    """The package's copy is one of the files that scripts/docs/generate keeps in step."""
    path = Path(warren_conformance.__file__).with_name(SCHEMAS)
    made = {Path(name).name: text for name, text in files().items()}
    assert path.read_text(encoding="utf-8") == made[SCHEMAS]
