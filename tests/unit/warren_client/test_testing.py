"""The server for an application's tests: it runs, or the error says what is missing."""

import importlib.util
import os
import stat
import sys
import urllib.request
from pathlib import Path

import pytest

from warren_client import sync, testing


def test_it_runs_as_long_as_its_with() -> None:
    """Two gateways and an HTTP API; its settings are the test's alone."""
    with testing.server({"WARREN_LOG_LEVEL": "warning"}) as server:
        assert len(server.urls) == 2
        with sync.connect(server.urls[0], user="ann") as ann, sync.connect(server.urls[1], user="bob") as bob:
            with ann.room("chat:a") as here, bob.room("chat:a") as there:
                here.send("CHAT", "hi")
                assert there.receive(timeout=10).payload == "hi"
            assert server.api_url.startswith("http://")
            assert server.api_key
    with pytest.raises(OSError):  # noqa: PT011 # refused, or reset
        urllib.request.urlopen(server.url.replace("ws:", "http:"), timeout=1)


def test_without_the_server_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """How to install it, and how to name another Python."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(testing.NotInstalledError, match="pip install"), testing.server():
        pass


def test_a_server_that_does_not_start_says_why() -> None:
    """With its own words."""
    wrong = testing.server({"WARREN_NO_SUCH_SETTING": "1"})
    with pytest.raises(testing.NotStartedError, match="WARREN_NO_SUCH_SETTING"), wrong:
        pass


@pytest.mark.parametrize("end", ["exit 3", "exec sleep 60"])
def test_a_program_that_says_nothing_is_given_up(tmp_path: Path, end: str) -> None:
    """Whether it ends or hangs."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{end}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert os.fspath(program) != sys.executable
    mute = testing.server(python=str(program), timeout=0.3)
    with pytest.raises(testing.NotStartedError, match="says nothing"), mute:
        pass
