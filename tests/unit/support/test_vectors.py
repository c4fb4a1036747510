"""The vectors' reader finds them, and a payload that is another one does not pass."""

import pytest
from tests.support.vectors import check_payload, meaning, vectors


@pytest.mark.parametrize("folder", ["client", "msgpack", "server"])
def test_each_folder_has_vectors_with_names_of_their_own(folder):
    """So that a failing one can be found."""
    names = [vector["name"] for vector in vectors(folder)]
    assert len(names) == len(set(names)) > 10


def test_a_folder_without_vectors_is_an_error():
    """A test over nothing would prove nothing."""
    with pytest.raises(AssertionError):
        vectors("nowhere")


@pytest.mark.parametrize(("payload", "binary"), [(b"[1]", False), (b"[ 2]", False), (b"[2]", True)])
def test_another_payload_does_not_pass(payload, binary):
    """Neither another value, nor other white space, nor bytes."""
    vector = {"message": {"type": "n", "payload": [2]}, "payload_text": "[2]"}
    check_payload(vector, b"[2]", binary=False)
    with pytest.raises(AssertionError):
        check_payload(vector, payload, binary)


def test_the_meaning_is_all_but_the_payload():
    """That is compared apart."""
    assert meaning({"message": {"type": "n", "payload": 1, "id": "7"}}) == {"type": "n", "id": "7"}
