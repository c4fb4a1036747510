"""The OpenAPI document: whole in itself, and made from what the parser knows."""

import json
import re

from router.core.control_problems import ProblemCode
from router.core.openapi import document
from router.core.verbs import VERBS

DOCUMENT = document("1.2.3")


def test_every_verb_has_its_path():
    """A POST for each, and a GET too where it changes nothing."""
    assert set(DOCUMENT["paths"]) == {"/v1/key", *(f"/v1/{name}" for name in VERBS)}
    for name, verb in VERBS.items():
        assert set(DOCUMENT["paths"][f"/v1/{name}"]) == ({"post", "get"} if verb.reads else {"post"})


def test_every_reference_leads_somewhere():
    """No schema and no response is missing, and none is left over."""
    text = json.dumps(DOCUMENT)
    for kind, name in re.findall(r'"#/components/(\w+)/(\w+)"', text):
        assert name in DOCUMENT["components"][kind]
    for kind in ("schemas", "responses"):
        for name in DOCUMENT["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name


def test_every_status_of_a_problem_that_a_command_can_come_to_is_told():
    """By each operation."""
    special = {404, 405, 501}
    wanted = {str(code.status) for code in ProblemCode if code.status not in special} | {"200"}
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            assert wanted <= set(operation["responses"])


def test_it_can_be_written_as_json_and_is_the_same_each_time():
    """So that it can be compared."""
    assert json.dumps(DOCUMENT) == json.dumps(document("1.2.3"))
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["version"] == "1.2.3"
