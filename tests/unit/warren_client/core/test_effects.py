"""What the core wants done."""

import pytest
from tests.support.client_scene import Scene

from warren_client.core.effects import Dial, HangUp


def test_each_socket_is_another_life() -> None:
    """What an earlier one says changes nothing."""
    scene = Scene()
    first = scene.open()
    scene.again()
    assert first.dial.life != scene.socket.dial.life
    scene.do(lambda: scene.session.received(first.dial.life, '{"type": "RECONNECT"}'))
    scene.do(lambda: scene.session.link.lost(first.dial.life, 4006, "old"))
    assert scene.state == "open"
    assert len(scene.sockets) == 2


@pytest.mark.parametrize("effect", [Dial(1, "ws://x", (), None), HangUp(1, 1000, "Bye")])
def test_they_are_records(effect: object) -> None:
    """Nothing changes them on their way."""
    with pytest.raises(AttributeError):
        effect.life = 2  # type: ignore[attr-defined]
