"""asyncapi: the document, as far as one sees without AsyncAPI's own parser (scripts/test/asyncapi)."""

import json

import pytest

from warren.contract import queries
from warren.contract.application_schemas import ApplicationSchema, ApplicationSchemas
from warren.contract.asyncapi import asyncapi
from warren.contract.client_frames import CLIENT_FRAMES
from warren.contract.server_frames import SERVER_FRAMES
from warren.topology import Topology


@pytest.fixture(scope="module")
def document():
    return asyncapi(Topology(), "1.2.3")


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for word, value in node.items():
            if word != "examples":
                yield from references(value)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def follow(document, reference):
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_each_reference_leads_somewhere(document):
    """Whatever is referred to stands in the document."""
    found = set(references(document))
    assert len(found) > 100
    for reference in found:
        assert follow(document, reference)


def test_it_says_what_it_is(document):
    """AsyncAPI 3.0.0, of this version of Warren, as JSON."""
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["version"] == "1.2.3"
    assert json.loads(json.dumps(document)) == document


def test_every_frame_goes_over_the_websocket(document):
    """Both directions, each with its own operation."""
    sent = {frame.__name__ for frame in SERVER_FRAMES}
    received = {frame.__name__ for frame in CLIENT_FRAMES}
    assert set(document["channels"]["websocket"]["messages"]) == sent | received
    for name, frames in (("sendFrames", sent), ("receiveFrames", received)):
        found = document["operations"][name]["messages"]
        assert {each["$ref"].rpartition("/")[2] for each in found} == frames


def test_every_command_has_a_channel_and_an_answer(document):
    """Its key begins with the verb; it is answered by its result or a problem."""
    for verb in queries.VERBS:
        operation = document["operations"][verb.name]
        channel = follow(document, operation["channel"]["$ref"])
        assert channel["address"].split(".")[0] == verb.name
        answers = {each["$ref"].rpartition("/")[2] for each in operation["reply"]["messages"]}
        assert answers == {verb.result.__name__, "Problem"}


def test_names_are_the_topologys():
    """Another prefix is in every exchange's and queue's name."""
    document = asyncapi(Topology("blue"), "1")
    bindings = [
        channel["bindings"]["amqp"]
        for channel in document["channels"].values()
        if "amqp" in channel.get("bindings", {})
    ]
    names = {(each.get("exchange") or each.get("queue"))["name"] for each in bindings}
    assert len(names) > 4
    assert all(name.startswith("blue.") for name in names)


def test_parameters_are_those_of_the_address(document):
    """A channel explains each part of its key that may vary, and no other."""
    for channel in document["channels"].values():
        named = {part.partition("}")[0] for part in (channel["address"] or "").split("{")[1:]}
        assert set(channel.get("parameters", {})) == named


def test_an_applications_own_types_are_messages():
    """With their schema, in both directions of the WebSocket."""
    schema = {"type": "object", "properties": {"price": {"type": "number"}}}
    application = ApplicationSchemas([ApplicationSchema("trades", "trades:*", "deal.done", schema)])
    document = asyncapi(Topology(), "1", application)
    assert document["components"]["schemas"]["trades.deal.done"] == schema
    message = document["components"]["messages"]["trades.deal.done"]
    assert message["payload"]["properties"]["type"]["const"] == "deal.done"
    assert set(references(document)) >= {
        "#/channels/websocket/messages/trades.deal.done",
        "#/components/schemas/trades.deal.done",
    }
    for reference in set(references(document)):
        assert follow(document, reference)


def test_queues_have_their_arguments_where_the_binding_has_no_place_for_them(document):
    """Those that backends reach by name, as the topology declares them."""
    topology = Topology()
    queues = {queue.name: queue for queue in topology.queues()}
    for name in ("deadLetters", "durableAnswers"):
        channel = document["channels"][name]
        queue = queues[channel["bindings"]["amqp"]["queue"]["name"]]
        assert channel["x-queue-arguments"] == {"x-queue-type": queue.kind, **queue.arguments}
