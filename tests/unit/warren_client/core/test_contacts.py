"""Which of some users are connected."""

import pytest
from tests.support.client_scene import Scene

from warren_client.core.contacts import Contacts
from warren_client.errors import InvalidError
from warren_client.messages import ContactChange


def test_others_take_the_place_of_those_before() -> None:
    """Only the difference is asked for; 100 at most."""
    contacts = Contacts()
    assert contacts.set(["bob", "eve", "bob"]) == {"watch": ["bob", "eve"]}
    assert contacts.set(["eve", "dan"]) == {"watch": ["dan"], "unwatch": ["bob"]}
    assert contacts.set(["eve", "dan"]) == {}
    with pytest.raises(InvalidError, match="100"):
        contacts.set(str(number) for number in range(101))


def test_changes_are_told_once() -> None:
    """From the moment on in which somebody listens."""
    contacts = Contacts()
    contacts.set(["bob"])
    assert contacts.online == {"bob": None}
    feed = contacts.listen()
    for count in (1, 2, 0):
        contacts.take("bob", {"count": {"users": count, "connections": count}})
    contacts.take("eve", {"count": {"users": 1, "connections": 1}})
    contacts.take("bob", {"watching": False})
    assert list(feed.items) == [
        ContactChange("bob", True),
        ContactChange("bob", False),
        ContactChange("bob", None),
    ]


def test_a_new_connection_is_told_whom_to_watch() -> None:
    """It knows nothing of contacts."""
    scene = Scene()
    scene.do(lambda: scene.session.watch_contacts(["bob"]))
    scene.open()
    assert scene.socket.of("PRESENCE")[0]["payload"] == {"watch": ["bob"]}
    scene.again()
    assert scene.socket.of("PRESENCE")[0]["payload"] == {"watch": ["bob"]}
    scene.presence("@bob")
    assert scene.session.contacts.online == {"bob": True}
