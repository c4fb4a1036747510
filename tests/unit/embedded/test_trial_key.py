"""The trial key: one that works, and another one each time."""

from embedded.trial_key import TrialKey
from router.core.api_keys import EVERYTHING


async def test_a_trial_key_allows_everything_and_is_nobody_elses():
    """It is made anew for each run."""
    first, second = TrialKey(), TrialKey()
    await first.start()
    found = first.keys.find(first.text.encode())
    assert found is not None
    assert (found.name, found.scopes) == ("trial", EVERYTHING)
    assert second.keys.find(first.text.encode()) is None
    await first.stop()
