"""The file of apps: read again when it changes; a wrong one changes nothing."""

import logging

from warren.pusher_apps import PusherAppsFile, apps_file_problems, read_apps
from warren.settings import PusherSettings
from warren.watched_file import LOOK_S

GOOD = "apps: [{id: a, key: b, secret: 0123456789abcdef}]"


def test_what_is_wrong_with_the_file_is_told_at_the_start(tmp_path):
    """With the variable's name; no file at all is nothing wrong."""
    file = tmp_path / "apps.yaml"
    assert apps_file_problems(PusherSettings()) == []
    told = apps_file_problems(PusherSettings(apps_file=str(file)))
    assert told == ["WARREN_PUSHER_APPS_FILE: No such file or directory"]
    file.write_bytes(b"\xff")
    assert "UTF-8" in apps_file_problems(PusherSettings(apps_file=str(file)))[0]
    file.write_text("apps: [{id: a}]")
    assert len(apps_file_problems(PusherSettings(apps_file=str(file)))) == 2
    file.write_text("#" * 1_100_000)
    assert "at most" in apps_file_problems(PusherSettings(apps_file=str(file)))[0]
    file.write_text(GOOD)
    assert apps_file_problems(PusherSettings(apps_file=str(file))) == []
    assert len(read_apps(file)) == 1


def test_a_file_that_changes_counts_and_one_that_is_wrong_does_not(tmp_path, caplog):
    """Each state is logged once, without what stands in it."""
    file = tmp_path / "apps.yaml"
    file.write_text(GOOD)
    source = PusherAppsFile(str(file))
    source.look()
    before = source.apps
    assert len(before) == 1
    source.look()
    assert source.apps is before
    with caplog.at_level(logging.ERROR):
        file.write_text("apps: [{id: a, key: b, secret: not-told}]")
        source.look()
        source.look()
    assert source.apps is before
    assert len(caplog.records) == 1
    assert "not-told" not in caplog.text
    file.unlink()
    source.look()
    assert source.apps is before
    file.write_text(GOOD.replace("id: a", "id: c"))
    source.look()
    assert list(source.apps.by_id) == ["c"]


async def test_it_looks_by_itself_and_without_a_file_there_is_nothing(tmp_path, monkeypatch):
    """Until it is stopped."""
    none = PusherAppsFile("")
    await none.start()
    await none.stop()
    assert (bool(none), len(none.apps)) == (False, 0)
    file = tmp_path / "apps.yaml"
    file.write_text(GOOD)
    source = PusherAppsFile(str(file))
    assert source
    await source.start()
    await source.start()
    assert len(source.apps) == 1
    await source.stop()
    assert LOOK_S > 0
