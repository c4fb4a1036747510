"""Commands: each is judged whole, and the answers are pinned."""

import pytest

from router.core import commands
from warren.envelope import Command
from warren.errors import ErrorCode

GOOD = [
    Command("1", "disconnect", "@ann"),
    Command("1", "disconnect", "@ann", "ann", ("g1~1",), 4001, "Ünïcode", 0),
    Command("1", "disconnect", "g1~1", code=1012),
    Command("1", "block", "@ann", until_ms=5),
    Command("1", "block", "a", "ann"),
    Command("1", "unblock", "a", "ann"),
    Command("1", "revoke", "@ann", token_id="t"),
    Command("1", "revoke", "@ann", before_s=5),
    Command("1", "remove", "a", "ann"),
    Command("1", "remove", "a", conn="g1~1"),
    Command("1", "add", "@ann", rooms=("a", "b")),
    Command("1", "add", "g1~1", rooms=("a",)),
]

BAD = [
    (Command("", "disconnect", "@ann"), "id"),
    (Command("x" * 129, "disconnect", "@ann"), "id"),
    (Command("\n", "disconnect", "@ann"), "id"),
    (Command("1", "disconnect", "a"), "room"),
    (Command("1", "disconnect", "@"), "room"),
    (Command("1", "disconnect", "@ann", "bob"), "room"),
    (Command("1", "disconnect", "@ann", spare=("a",)), "spare"),
    (Command("1", "disconnect", "@ann", spare=("g1~1",) * 101), "spare"),
    (Command("1", "disconnect", "@ann", code=1000), "code"),
    (Command("1", "disconnect", "@ann", reason="ü" * 61), "reason"),
    (Command("1", "disconnect", "@ann", reason="\x1b[2J"), "reason"),
    (Command("1", "block", "a"), "room"),
    (Command("1", "block", "g1~1"), "room"),
    (Command("1", "block", "*", "ann"), "room"),
    (Command("1", "block", "@ann", until_ms=-1), "until_ms"),
    (Command("1", "remove", "@ann", "ann"), "room"),
    (Command("1", "remove", "a"), "room"),
    (Command("1", "remove", "a", "ann", conn="g1~1"), "room"),
    (Command("1", "remove", "@ann", conn="g1~1"), "room"),
    (Command("1", "remove", "a", conn="ann"), "room"),
    (Command("1", "block", "a", "ann", conn="g1~1"), "conn"),
    (Command("1", "revoke", "@ann"), "token_id"),
    (Command("1", "revoke", "@ann", token_id="t" * 257), "token_id"),
    (Command("1", "revoke", "a", token_id="t"), "room"),
    (Command("1", "add", "@ann"), "rooms"),
    (Command("1", "add", "@ann", rooms=("@bob",)), "rooms"),
    (Command("1", "add", "@ann", rooms=("a",) * 101), "rooms"),
    (Command("1", "add", "a", "ann", rooms=("a",)), "room"),
    (Command("1", "explode", "@ann"), "verb"),
]


@pytest.mark.parametrize("command", GOOD, ids=lambda command: f"{command.verb} {command.room}")
def test_what_may_be_asked(command):
    """Nothing is wrong with it."""
    assert commands.problem(command) == ""


@pytest.mark.parametrize(("command", "names"), BAD)
def test_what_may_not_be_asked(command, names):
    """It is said what is wrong, by the field's name."""
    assert commands.problem(command).split(":")[0].split(" or ")[0] == names


def test_whose_a_command_is():
    """Of a user's own room, the user; of a room, who is named; of a connection, nobody that is known."""
    assert [
        commands.whose(Command("1", "block", "@ann")),
        commands.whose(Command("1", "block", "a", "bob")),
        commands.whose(Command("1", "disconnect", "g1~1")),
    ] == ["ann", "bob", ""]


def test_the_answers_are_pinned():
    """The router that wrote the command may be of another release."""
    assert commands.done("block", 3, repeated=False) == b'{"connections":3}'
    assert commands.done("unblock", 1, repeated=True) == b'{"lifted":1,"duplicate":true}'
    assert commands.refused(ErrorCode.OVERLOADED, "Too much") == b'{"code":"overloaded","message":"Too much"}'
