"""Sources of settings: how texts are found, and refused, one group at a time (whole services:
``test_settings.py``).
"""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from warren.env import CommaList, Settings, variable
from warren.env_sources import (
    EnvironmentSource,
    FileSource,
    from_environment,
    set_twice,
    sources_of,
    unknown,
    what_is_right,
    wrong_values,
)


class Small(Settings):
    model_config = SettingsConfigDict(env_prefix="WARREN_ROUTER_")

    count: int = variable(3, "How many.", ge=1)
    key: SecretStr = variable(SecretStr(""), "Secret.")
    names: CommaList = variable(("a", "b"), "Some.")

    @model_validator(mode="after")
    def _fit(self) -> "Small":
        if self.count > 100 and not self.key.get_secret_value():
            raise ValueError("WARREN_ROUTER_COUNT above 100 needs WARREN_ROUTER_KEY")
        return self


class Large(Settings):
    small: Small = Small(count=7)


def wrong(env: dict[str, str]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        from_environment(Large, env)
    return wrong_values(Large, caught.value)


def test_every_wrong_value_of_every_group_is_named_in_one_go() -> None:
    """By its variable, although it stands in a group."""

    class Both(Settings):
        prefix: str = variable("w", "Prefix.", pattern="^[a-z]+$")
        small: Small = Small()

    env = {"WARREN_ROUTER_COUNT": "0", "WARREN_PREFIX": "A", "WARREN_ROUTER_NAMES": "x"}
    with pytest.raises(ValidationError) as caught:
        from_environment(Both, env)
    assert wrong_values(Both, caught.value) == [
        "WARREN_PREFIX: must match pattern '^[a-z]+$', not 'A'",
        "WARREN_ROUTER_COUNT: must be greater than or equal to 1, not '0'",
    ]


def test_a_group_is_checked_as_a_whole_where_its_values_are_right() -> None:
    """In its own words; and not where the file of one of them can't be read, which would be a false alarm."""
    needs = "WARREN_ROUTER_COUNT above 100 needs WARREN_ROUTER_KEY"
    assert wrong({"WARREN_ROUTER_COUNT": "101"}) == [needs]
    assert wrong({"WARREN_ROUTER_COUNT": "101", "WARREN_ROUTER_KEY_FILE": "/no/such"}) == [
        "WARREN_ROUTER_KEY_FILE: can't read /no/such: No such file or directory"
    ]


def test_a_variable_that_is_called_as_a_group_is_no_value_of_it() -> None:
    """WARREN_SMALL is nobody's, and JSON in it does not become the group."""
    assert from_environment(Large, {"WARREN_SMALL": '{"count": 3}'}) == Large()
    assert unknown({"WARREN_SMALL": "1"}, (Large,)) == ["WARREN_SMALL: nobody knows this variable"]


def test_a_given_default_of_a_group_holds_beside_what_is_set() -> None:
    """Setting one variable of a group leaves the others as they were given."""
    assert from_environment(Large, {"WARREN_ROUTER_NAMES": "x, y"}).small == Small(count=7, names=("x", "y"))

    class Outer(Settings):
        large: Large = Large()

    assert from_environment(Outer, {"WARREN_ROUTER_NAMES": "x"}).large.small.count == 7


def test_a_file_goes_before_the_variable_and_both_are_a_problem(tmp_path: Path) -> None:
    """The value comes without the line end of the file."""
    file = tmp_path / "key"
    file.write_text("from the file\n")
    env = {"WARREN_ROUTER_KEY_FILE": str(file)}
    assert from_environment(Large, env).small.key == SecretStr("from the file")
    assert set_twice(Large, env) == []
    both = env | {"WARREN_ROUTER_KEY": "from the variable"}
    assert from_environment(Large, both).small.key == SecretStr("from the file")
    assert set_twice(Large, both) == [
        "WARREN_ROUTER_KEY: is set, and WARREN_ROUTER_KEY_FILE too; keep one of them"
    ]


def test_each_source_gives_texts_by_field() -> None:
    """Groups are always there, and what is not set is not."""
    env = {"WARREN_ROUTER_COUNT": "5", "WARREN_ROUTER_KEY": "", "warren_router_names": "x"}
    assert EnvironmentSource(Large, env)() == {"small": {"count": "5"}}
    assert FileSource(Large, env)() == {"small": {}}


def test_what_kubernetes_injects_is_no_value_but_a_file_of_that_name_is_a_slip() -> None:
    """A service link has the name of a variable, never that of its file."""
    assert from_environment(Large, {"WARREN_ROUTER_COUNT": "tcp://10.0.0.1:80"}) == Large()
    (problem,) = wrong({"WARREN_ROUTER_KEY_FILE": "tcp://10.0.0.1:80"})
    assert problem.startswith("WARREN_ROUTER_KEY_FILE: can't read what it names")


def test_each_variable_has_its_text_and_where_it_comes_from(tmp_path: Path) -> None:
    """A file that can't be read gives no text."""
    file = tmp_path / "key"
    file.write_text("k\n")
    env = {"WARREN_ROUTER_KEY_FILE": str(file), "WARREN_ROUTER_NAMES": "x"}
    assert [(text, source) for _, text, source in sources_of(Large, env)] == [
        (None, "default"),
        ("k", f"file {file}"),
        ("x", "environment"),
    ]
    unread = [each[1:] for each in sources_of(Large, {"WARREN_ROUTER_KEY_FILE": "/no/such"})]
    assert unread[1] == (None, "file /no/such (can't be read)")


def test_an_unknown_name_comes_with_a_guess() -> None:
    """Where one is near."""
    assert unknown({"WARREN_ROUTER_COUTN": "1", "WARREN_X": "1", "HOME": "/"}, (Large,)) == [
        "WARREN_ROUTER_COUTN: nobody knows this variable; did you mean WARREN_ROUTER_COUNT?",
        "WARREN_X: nobody knows this variable",
    ]


def test_what_is_right_in_a_wrong_group_can_be_kept() -> None:
    """For what looks at it further; a group that contradicts itself has its defaults, the others stay."""
    env = {"WARREN_ROUTER_COUNT": "0", "WARREN_ROUTER_NAMES": "x, y"}
    assert what_is_right(Large, env).small == Small(count=7, names=("x", "y"))

    class Both(Settings):
        shards: int = variable(1, "Shards.")
        small: Small = Small()
        large: Large = Large()

    kept = what_is_right(Both, {"WARREN_ROUTER_COUNT": "200", "WARREN_SHARDS": "2"})
    assert kept.small == Small()


def test_constructing_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of groups, and also where settings are read from an environment that was handed in."""
    monkeypatch.setenv("WARREN_ROUTER_COUNT", "9")
    assert Small().count == 3
    assert from_environment(Large, {}).small.count == 7
