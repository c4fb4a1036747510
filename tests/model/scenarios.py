"""The scenarios of the one log: each as small as what it is to show allows, since all of its interleavings
are visited.
"""

from tests.model.build import Scenario

JOIN, LEAVE = ("join",), ("leave",)


def say(ident: str) -> tuple[str, str]:
    return ("say", ident)


SCENARIOS = {
    "a life begins": Scenario({"g": (JOIN, say("x"))}, {"batch lost": 1, "confirm lost": 1}, before=0),
    "the way in": Scenario(
        {"g": (JOIN, say("x"), say("y"))},
        {"confirm lost": 1, "batch lost": 1, "batch late": 1, "given up": 1},
    ),
    "the way out": Scenario(
        {"g": (JOIN, say("x")), "h": (JOIN, say("y"))}, {"parcel lost": 1, "parcel twice": 1}
    ),
    "feeds are cut": Scenario(
        {"g": (JOIN, say("x"), say("y")), "h": (JOIN,)}, {"parcel lost": 1, "parcel twice": 1}, feed_bytes=1
    ),
    "the ring is small": Scenario({"g": (JOIN, say("x"), say("y"))}, {"parcel lost": 1}, ring_bytes=600),
    "members go": Scenario({"g": (JOIN, say("x")), "h": (JOIN, LEAVE)}, {"parcel lost": 1}),
    "for all at once": Scenario(
        {"g": (JOIN, say("x")), "h": (JOIN,), "i": (JOIN,)}, {"parcel lost": 1, "parcel twice": 1}
    ),
    "two speakers": Scenario({"g": (JOIN, say("x")), "h": (JOIN,)}, {"parcel lost": 1}, (1, 1)),
    "a speaker dies": Scenario({"g": (JOIN, say("x"))}, {"parcel lost": 1, "router dies": 1}, (1, 1)),
    "a checkpoint": Scenario({"g": (JOIN, say("x"))}, {"mark": 1, "router dies": 1}, events=True),
    "what backends said comes again": Scenario(
        {}, {"mark": 1, "router dies": 1, "notified twice": 1}, backend=("n",)
    ),
    "ids are forgotten": Scenario(
        {}, {"mark": 1, "router dies": 1, "notified twice": 1}, backend=("z", "a", "m"), ids=2, few_ids=True
    ),
    "two write checkpoints": Scenario({}, {"mark": 2}, (1, 1), backend=("n",), part_bytes=35),
    "a gateway is declared gone": Scenario(
        {"g": (JOIN, say("x")), "h": (JOIN,)}, {"gone": 1, "parcel lost": 1}
    ),
    "a batch comes after the end": Scenario(
        {"g": (JOIN, say("x"))}, {"gone": 1, "batch late": 1, "confirm lost": 1}
    ),
    "ids are few": Scenario(
        {"g": (JOIN, say("x"))},
        {"gone": 1, "batch late": 1},
        backend=("n",),
        ids=1,
        answers_may_be_lost=True,
    ),
    "an end is forgotten": Scenario({"g": (JOIN, say("x"))}, {"gone": 1, "parcel lost": 1}, gone=0),
    "the log is deleted": Scenario({"g": (JOIN, say("x"))}, {"deleted": 1, "batch late": 1}, before=0),
    "the log loses its beginning": Scenario({"g": (JOIN, say("x"))}, {"dropped": 1, "mark": 1, "jump": 1}),
    "two versions": Scenario(
        {"g": (JOIN, say("x"))}, {"router dies": 1, "parcel lost": 1}, (2, 1), restarts=False
    ),
    "poison": Scenario({"g": (JOIN, say("x")), "h": (JOIN,)}, {"poison": 1}),
}
