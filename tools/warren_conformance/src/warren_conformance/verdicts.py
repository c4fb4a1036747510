"""Verdicts: what a scenario can come to. It decides nothing."""

from __future__ import annotations


class Breach(Exception):
    """The client broke the protocol. ``sentence`` says what it did; ``rule`` and ``section`` are the
    scenario's, unless another one was broken.
    """

    def __init__(self, sentence: str, *, rule: str = "", section: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.rule = rule
        self.section = section


class Skipped(Exception):
    """The client does not claim to do this."""


class Broken(Exception):
    """The adapter broke the rules between it and the kit, or could not be started: nothing is said about the
    client.
    """
