"""How many connections the files of a process leave place for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.file_descriptor_capacity import ASKING_MIN, KEPT, LEAST, FileDescriptorCapacity


def test_without_a_limit_all_that_is_wanted_is_there():
    """And sockets are not bounded."""
    assert FileDescriptorCapacity.of(10_000, None) == FileDescriptorCapacity(10_000, 0, 10_000, None)


def test_a_limit_that_is_high_enough_caps_nothing():
    """The sockets are bounded all the same."""
    found = FileDescriptorCapacity.of(10_000, 524_288)
    assert (found.connections, found.sockets, found.capped) == (10_000, 524_224, False)


def test_a_limit_that_is_too_low_caps_the_places():
    """Some files are kept for what is no client, and some sockets for clients without a place."""
    some, few = (FileDescriptorCapacity.of(10_000, files) for files in (1_024, 128))
    assert (some.connections, some.sockets, some.capped) == (912, 960, True)
    assert (few.connections, few.sockets, few.capped) == (48, 64, True)


@given(st.integers(1, 100_000), st.integers(0, 2_000_000))
def test_there_is_always_some_place_and_always_a_reserve(wanted: int, open_files: int):
    """Places never reach the sockets, and sockets never the files, where there are files enough to say so."""
    found = FileDescriptorCapacity.of(wanted, open_files)
    assert 1 <= found.connections <= wanted
    assert found.connections + ASKING_MIN <= found.sockets
    assert found.capped is (found.connections < wanted)
    if open_files >= KEPT + LEAST + ASKING_MIN:
        assert found.sockets + KEPT <= open_files
