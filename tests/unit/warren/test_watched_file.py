"""Something of one's own in a file: the same for whatever it holds (``test_pusher_apps.py`` and the router's
``test_api_keys.py`` have the rest).
"""

import logging

from tests.support.gateways import logged

from warren.errors import SettingsError
from warren.watched_file import FileKind, WatchedFile


def words(text: str) -> list[str]:
    if "!" in text:
        raise SettingsError(["words: no !"])
    return text.split()


KIND = FileKind("words", words, "word_list", logging.getLogger("words"), "there is no word")


def test_what_was_read_counts_until_another_whole_file_is_there(tmp_path, caplog):
    """A wrong state is logged once, with what it means, and without what stands in it."""
    caplog.set_level(logging.INFO)
    path = tmp_path / "words"
    file = WatchedFile(str(path), KIND, [])
    file.look()
    path.write_text("a secret")
    file.look()
    path.write_text("other secret!")
    for _ in range(2):
        file.look()
    assert (bool(file), file.content) == (True, ["a", "secret"])
    failed = logged(caplog.records, "word_list_failed")
    assert [each["hint"] for each in failed] == [
        "there is no word",
        "the words that were read before count on",
    ]
    assert logged(caplog.records, "word_list_read")[0]["words"] == 2
    assert "secret" not in caplog.text


def test_its_problems_are_told_with_the_variable_that_names_it(tmp_path):
    """One line each; none where all is well."""
    path = tmp_path / "words"
    assert KIND.problems(str(path), "V") == ["V: No such file or directory"]
    path.write_text("!")
    assert KIND.problems(str(path), "V") == ["V: words: no !"]
    path.write_text("a")
    assert KIND.problems(str(path), "V") == []
