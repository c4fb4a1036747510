"""The keys file: read at the start, read again when it changes, and never half."""

import logging

import pytest
from tests.support.eventually import MS, eventually
from tests.support.gateways import logged

from router.core.api_keys import hash_of
from router.settings import HttpApiSettings, RouterSettings
from router.shell.api_keys import ApiKeyFile, key_file_problems, read_keys
from warren import watched_file
from warren.errors import SettingsError
from warren.watched_file import MAX_FILE_BYTES


def text(key):
    return f'keys: [{{name: shop, sha256: "{hash_of(key)}", scopes: [publish]}}]'


def replace(path, content):
    """Put another file into its place, as a mounted secret is replaced."""
    new = path.with_name("new")
    new.write_text(content)
    new.replace(path)


async def test_a_file_that_is_replaced_is_read_again(tmp_path, monkeypatch):
    """The former key counts no more."""
    monkeypatch.setattr(watched_file, "LOOK_S", 5 * MS)
    path = tmp_path / "keys.yaml"
    path.write_text(text(b"old"))
    keys = ApiKeyFile(str(path))
    await keys.start()
    assert keys.keys.find(b"old") is not None
    replace(path, text(b"new"))
    await eventually(lambda: keys.keys.find(b"new"))
    assert keys.keys.find(b"old") is None
    await keys.stop()


def test_a_file_that_is_broken_changes_nothing_and_is_told_once(tmp_path, caplog):
    """The keys before it count on; no line shows what stands in it."""
    path = tmp_path / "keys.yaml"
    path.write_text(text(b"old"))
    keys = ApiKeyFile(str(path))
    keys.look()
    replace(path, "keys: [{name: hunter2-hunter2}]")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            keys.look()
    assert keys.keys.find(b"old") is not None
    (line,) = logged(caplog.records, "api_keys_failed")
    assert "count on" in line["hint"]
    assert "hunter" not in str(line)
    path.unlink()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            keys.look()
    assert len(logged(caplog.records, "api_keys_failed")) == 2
    assert keys.keys.find(b"old") is not None
    path.write_text(text(b"new"))
    keys.look()
    assert keys.keys.find(b"new") is not None


@pytest.mark.parametrize("content", [b"\xff", b"x" * (MAX_FILE_BYTES + 1), b"{"])
def test_what_is_no_keys_file_is_told(tmp_path, content):
    """And not read any further."""
    path = tmp_path / "keys.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError):
        read_keys(path)


def test_a_router_does_not_start_with_a_wrong_file(tmp_path):
    """It is a problem of the settings like any other; none where the API is off."""
    path = tmp_path / "keys.yaml"

    def problems(**api):
        return key_file_problems(RouterSettings(api=HttpApiSettings(**api)), {})

    assert problems() == []
    assert problems(port=8090) == [
        "WARREN_ROUTER_API_KEYS_FILE: is needed where WARREN_ROUTER_API_PORT is set"
    ]
    assert problems(port=8090, keys_file=str(path)) == [
        "WARREN_ROUTER_API_KEYS_FILE: No such file or directory"
    ]
    path.write_text("keys: 5")
    assert problems(port=8090, keys_file=str(path)) == [
        "WARREN_ROUTER_API_KEYS_FILE: keys: must be a list of keys under the name keys"
    ]
    path.write_text(text(b"x"))
    assert problems(port=8090, keys_file=str(path)) == []
