"""asyncapi_draft: the parts of a document."""

import pytest

from warren.contract.asyncapi_draft import Draft, first_sentence
from warren.contract.rpc import RequestHeaders
from warren.contract.server_frames import JoinedFrame
from warren.topology import Topology


@pytest.fixture
def draft() -> Draft:
    return Draft(Topology("blue"))


def test_an_exchange_is_as_it_is_declared(draft):
    """Its name and type are the topology's, and what may vary in the key is explained."""
    draft.exchange("x", draft.topology.notify, "room.{room}", ["Notification"])
    channel = draft.channels["x"]
    assert channel["address"] == "room.{room}"
    assert set(channel["parameters"]) == {"room"}
    assert channel["bindings"]["amqp"]["exchange"]["name"] == draft.topology.notify
    assert channel["bindings"]["amqp"]["exchange"]["type"] == "topic"


def test_an_exchange_that_nobody_declares_is_no_channel(draft):
    """A document names nothing that is not there."""
    with pytest.raises(StopIteration):
        draft.exchange("x", "blue.none", "a", [])


def test_an_answer_goes_where_the_question_says(draft):
    """Its channel has no address, and the operation says which property has it."""
    draft.reply_channel("answers", ["Answer"], "Answers.")
    draft.exchange("questions", draft.topology.rpc, "{service}", ["Question"])
    draft.operation("ask", "send", "questions", ["Question"], "Ask.", reply="answers")
    assert draft.channels["answers"]["address"] is None
    reply = draft.operations["ask"]["reply"]
    assert reply["address"]["location"] == "$message.header#/reply_to"
    assert reply["messages"] == [{"$ref": "#/channels/answers/messages/Answer"}]


def test_a_message_is_called_what_it_is_on_the_wire(draft):
    """A frame by its type, others by their struct."""
    draft.message(JoinedFrame)
    draft.message(RequestHeaders)
    assert draft.messages["JoinedFrame"]["title"] == "JOINED"
    assert draft.messages["RequestHeaders"]["title"] == "RequestHeaders"
    assert first_sentence(RequestHeaders) == "The AMQP headers of a request."
