"""What the system says of this process's memory."""

from pathlib import Path

import pytest

from warren import process_memory


def test_what_is_resident_is_no_more_than_the_most_that_was():
    """Both are in bytes, and a Python takes some megabytes."""
    assert 1 << 20 < process_memory.rss_bytes() <= 1.1 * process_memory.peak_rss_bytes()


@pytest.mark.parametrize("text", [None, "", "1"])
def test_where_the_system_does_not_tell_it_the_most_that_was_stands_for_it(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """No /proc, or another one than Linux has."""
    if text is not None:
        (tmp_path / "statm").write_text(text)
    monkeypatch.setattr(process_memory, "_STATM", tmp_path / "statm")
    assert process_memory.rss_bytes() == process_memory.peak_rss_bytes()
