"""memory: what connections hold is counted where they hold anything, and those that have to go are ended."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.hub import Hub
from gateway.core.memory_budget import Holding, MemoryBudget, Standing
from gateway.shell.memory_limiter import SHARE, MemoryLimiter
from warren.errors import CloseCode
from warren.metrics import GatewayMetrics

LIMIT = 100_000


class SteppedClock:
    """A clock that each question moves on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.step = 0.0

    def monotonic(self) -> float:
        self.now += self.step
        return self.now

    def wall_us(self) -> int:
        return 0

    def thread(self) -> float:
        return 0.0

    def busy(self) -> float:
        return 0.0


class One:
    """A connection that holds what it is told to."""

    def __init__(self, *held: int, standing: Standing = Standing.KNOWN) -> None:
        self.counted = False
        self.held: tuple[int, ...] = held
        self.standing = standing
        self.did: list[object] = []
        self.on_excess: Callable[[CloseCode], None] | None = self.did.append

    def holding(self) -> Holding | None:
        return Holding(self.standing, *self.held) if any(self.held) else None

    def chunks(self) -> list[bytes]:
        self.waits = [bytes(self.held[1])]
        return self.waits

    def spill(self) -> None:
        self.did.append("spill")
        self.held = (0, 0, 0)

    def cut_unless_small(self) -> None:
        self.did.append("cut unless small")

    def cut(self) -> None:
        self.did.append("cut")


def memory() -> tuple[MemoryLimiter, GatewayMetrics, SteppedClock]:
    metrics, clock, hub = GatewayMetrics(), SteppedClock(), Hub()
    hub.spelled = 1 << 40
    return MemoryLimiter(MemoryBudget(LIMIT), clock, metrics, hub), metrics, clock


def test_who_holds_nothing_any_more_is_forgotten():
    """It is looked at only while it holds something; what is held is shown by kind."""
    held, metrics, _ = memory()
    one, two = One(10, 20, 30), One(1, 2, 3)
    held.register(one)
    held.register(two)
    held.turn(100.0)
    text = metrics.render()[0].decode()
    for line in ('{of="receiving"} 11.0', '{of="sending"} 22.0', '{of="windows"} 33.0'):
        assert f"warren_gateway_buffer_bytes{line}" in text
    assert f"warren_gateway_buffer_limit_bytes {float(LIMIT)}" in text
    one.held = (0, 0, 0)
    held.turn(200.0)
    assert (len(held), one.counted, two.counted) == (1, False, True)


def test_who_has_to_go_lets_go_first_and_then_hears_why():
    """In this order, so that its end needs no memory; who is closing already is cut."""
    held, metrics, _ = memory()
    large, closing, small = One(90_000, 0, 0), One(0, 20_000, 0, standing=Standing.ENDING), One(5_000, 0, 0)
    for one in (large, closing, small):
        held.register(one)
    held.check()
    assert large.did == ["spill", CloseCode.OVERLOADED, "cut unless small"]
    assert closing.did == ["spill", "cut"]
    assert small.did == []
    text = metrics.render()[0].decode()
    assert 'warren_gateway_buffer_closes_total{of="receiving"} 1.0' in text
    assert 'warren_gateway_buffer_closes_total{of="ending"} 1.0' in text


def test_what_comes_within_one_turn_is_bounded_too():
    """A tenth of the budget may come until it is checked, also where the loop is late."""
    held, _, _ = memory()
    one = One(LIMIT + 1, 0, 0)
    held.register(one)
    held.came(LIMIT // 10)
    assert one.did == []
    held.came(1)
    assert one.did[0] == "spill"
    other = One(LIMIT + 1, 0, 0)
    held.register(other)
    held.came(LIMIT // 10)
    assert other.did == []


def test_checks_take_a_small_part_of_the_time():
    """One that took long is not followed by the next at once."""
    held, _, clock = memory()
    one = One(LIMIT + 1, 0, 0)
    clock.step = 0.1
    held.turn(100.0)
    held.register(one)
    held.turn(clock.now + 0.09 / SHARE)
    assert one.did == []
    held.turn(clock.now + 0.11 / SHARE)
    assert one.did


def test_idle_clients_that_compress_hold_nothing_that_anybody_goes_for():
    """Their windows are shown, and are in no sum that ends connections."""
    held, metrics, _ = memory()
    many = [One(0, 0, 32_768) for _ in range(100)]
    for one in many:
        held.register(one)
    held.check()
    assert not any(one.did for one in many)
    assert 'warren_gateway_buffer_bytes{of="windows"} 3.2768e+06' in metrics.render()[0].decode()


def test_a_check_that_fails_ends_nobody_but_whose_bytes_cannot_be_counted(caplog):
    """Not who happens to send; the others are counted and bounded as ever, also where one fails to end."""

    class Broken(One):
        def holding(self) -> Holding | None:
            raise ValueError("can't count")

    class Stubborn(One):
        def spill(self) -> None:
            raise ValueError("can't spill")

    held, _, _ = memory()
    broken, stubborn, large = Broken(1, 0, 0), Stubborn(LIMIT + 2, 0, 0), One(LIMIT + 1, 0, 0)
    for one in (broken, stubborn, large):
        held.register(one)
    held.came(LIMIT)
    assert broken.did == ["cut"]
    assert stubborn.did == ["cut"]
    assert large.did[0] == "spill"
    assert [record.message for record in caplog.records].count("memory_check_failed") == 2
    held.turn(1e9)
    assert broken.did == ["cut"]


def test_a_budget_that_fails_is_logged_and_asked_again(caplog):
    """Whoever sends goes on, and so does the loop's turn."""
    held, _, _ = memory()
    one = One(10, 0, 0)
    held.register(one)
    counted = one.chunks

    def fails() -> list[bytes]:
        raise ValueError("no chunks")

    one.held, one.chunks = (0, LIMIT + 1, 0), fails  # type: ignore[method-assign]
    held.came(LIMIT)
    assert [record.message for record in caplog.records] == ["memory_check_failed"]
    assert one.did == []
    one.chunks = counted  # type: ignore[method-assign]
    held.turn(1e9)
    assert one.did[0] == "spill"
