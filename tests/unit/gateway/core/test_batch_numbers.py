"""Which batch an entry goes in, what goes again, and what is done with."""

from __future__ import annotations

from gateway.core.batch_numbers import BatchNumbers, Entry, Outgoing
from warren import envelope
from warren.envelope import Batch, Hello


def message(name: str, size: int = 1, *, awaited: bool = False) -> Entry:
    up = envelope.Publish("r", "CHAT", b"1", 1, "g~1", "ann", name)
    return Entry(up, size, kept=True, charged=True, awaited=awaited)


def join(name: str) -> Entry:
    return Entry(envelope.Join("r", name, "ann"), 1, kept=False, charged=False)


def leave(name: str) -> Entry:
    return Entry(envelope.Leave(("r",), name, "ref"), 1, kept=True, charged=False)


def names(batch: Outgoing[Entry] | None) -> list[str]:
    """Return what the batch's bytes hold."""
    assert batch is not None
    found = envelope.decode(batch.body("g", 7))
    assert found[0] == Batch("g", batch.life, batch.number, 7)
    return [str(getattr(one, "id", "") or getattr(one, "conn", type(one).__name__)) for one in found[1:]]


def begun(*entries: Entry, count: int = 10, size: int = 1_000) -> BatchNumbers[Entry]:
    """Return numbers whose first life has begun, with these entries waiting."""
    numbers: BatchNumbers[Entry] = BatchNumbers(count, size)
    for entry in entries:
        numbers.offer(entry)
    hello = numbers.next()
    assert hello is not None
    assert numbers.confirmed(hello) == []
    return numbers


def send(numbers: BatchNumbers[Entry]) -> Outgoing[Entry]:
    """Send the next batch and confirm it."""
    batch = numbers.next()
    assert batch is not None
    numbers.confirmed(batch)
    return batch


def test_a_life_begins_with_its_hello_alone():
    """Batch 1 holds the Hello and nothing else, also where entries wait; they follow as batch 2."""
    numbers: BatchNumbers[Entry] = BatchNumbers(10, 1_000)
    numbers.offer(message("a"))
    first = numbers.next()
    assert first is not None
    assert envelope.decode(first.body("g", 7)) == [Batch("g", 1, 1, 7), Hello()]
    assert not numbers.begun
    assert numbers.next() is first
    numbers.confirmed(first)
    assert numbers.begun
    second = numbers.next()
    assert (second and second.number, names(second)) == (2, ["a"])


def test_a_hello_goes_though_nothing_waits():
    """There is a first batch at once, and then none until something is offered."""
    numbers = begun()
    assert numbers.next() is None
    numbers.offer(join("j"))
    assert names(numbers.next()) == ["j"]


def test_a_batch_is_bounded_in_count_and_bytes():
    """As many as fit, in order; what is too large for any goes alone."""
    numbers = begun(message("a", 400), message("b", 400), message("c", 400), message("d", 5_000), count=3)
    assert [names(send(numbers)) for _ in range(3)] == [["a", "b"], ["c"], ["d"]]
    few = begun(*(message(name) for name in "abcd"), count=3)
    assert [names(send(few)) for _ in range(2)] == [["a", "b", "c"], ["d"]]


def test_the_same_bytes_go_again_until_they_are_confirmed():
    """A failure changes nothing; the time in the head is that of the first attempt."""
    numbers = begun(message("a"), join("j"))
    batch = numbers.next()
    assert batch is not None
    body = batch.body("g", 7)
    numbers.failed(batch)
    assert numbers.next() is batch
    assert batch.body("g", 99) == body


def test_what_was_given_up_leaves_its_batch_under_a_new_number():
    """Nobody knows whether the failed one is in the log, so its number is not used again; the rest goes
    before what came later.
    """
    a, b = message("a"), message("b")
    numbers = begun(a, b, join("j"))
    failed = numbers.next()
    assert failed is not None
    numbers.offer(message("c"))
    numbers.give_up(a)
    assert numbers.next() is failed
    numbers.failed(failed)
    assert not numbers.is_under_way(failed)
    assert numbers.confirmed(failed) == []
    batch = numbers.next()
    assert (batch and batch.number, names(batch)) == (3, ["b", "j", "c"])
    assert numbers.charged == 2


def test_a_batch_of_which_all_was_given_up_is_not_sent_again():
    """Its number is left out."""
    a = message("a")
    numbers = begun(a)
    batch = numbers.next()
    assert batch is not None
    numbers.give_up(a)
    numbers.failed(batch)
    assert numbers.next() is None
    assert (numbers.charged, numbers.charged_bytes) == (0, 0)
    numbers.offer(message("b"))
    assert getattr(numbers.next(), "number", None) == 3


def test_what_is_confirmed_is_charged_until_it_is_counted():
    """A confirm alone makes no place; a count does, for all batches up to it."""
    numbers = begun(message("a", 5), join("j"))
    send(numbers)
    assert (numbers.charged, numbers.charged_bytes, numbers.controls) == (1, 5, 1)
    numbers.offer(message("b", 7))
    send(numbers)
    numbers.count(1, 2)
    assert (numbers.charged, numbers.charged_bytes, numbers.controls) == (1, 7, 0)
    numbers.count(1, 3)
    assert (numbers.charged, numbers.charged_bytes) == (0, 0)


def test_a_count_may_come_before_the_confirm():
    """It says that the batch is in the log; the confirm then says nothing new, and a failure neither."""
    a = message("a")
    numbers = begun(a)
    batch = numbers.next()
    assert batch is not None
    assert numbers.count(1, 2) == [a]
    assert (a.confirmed, a.counted, numbers.charged) == (True, True, 0)
    assert numbers.confirmed(batch) == []
    numbers.failed(batch)
    assert numbers.next() is None


def test_a_count_may_come_of_the_hello():
    """The life has begun, whether or not its Hello was confirmed."""
    numbers: BatchNumbers[Entry] = BatchNumbers(10, 1_000)
    numbers.next()
    numbers.count(1, 1)
    assert numbers.begun
    assert numbers.next() is None


def test_counts_of_another_life_and_older_counts_do_nothing():
    """What is known does not become unknown."""
    numbers = begun(message("a"))
    send(numbers)
    assert numbers.count(2, 9) == []
    assert (numbers.counted, numbers.charged) == (0, 1)
    numbers.count(1, 2)
    numbers.count(1, 1)
    assert numbers.counted == 2


def test_what_was_given_up_in_the_log_stays_charged():
    """It takes place in the log until the routers have counted it, but it does not go again."""
    a = message("a", 9)
    numbers = begun(a)
    send(numbers)
    numbers.give_up(a)
    assert (numbers.charged, numbers.charged_bytes) == (1, 9)
    assert numbers.end(1, 0) == []
    assert (numbers.charged, numbers.charged_bytes) == (0, 0)


def test_what_was_given_up_before_it_was_sent_goes_at_once():
    """Its charge too, and nothing is left of it though something before it waits for long."""
    entries = [message(str(number)) for number in range(100)]
    numbers = begun(join("j"), *entries)
    for entry in entries:
        numbers.give_up(entry)
        numbers.give_up(entry)
    assert (numbers.charged, numbers.charged_bytes, numbers.waiting) == (0, 0, 1)
    assert len(numbers._queue) <= 2
    assert names(numbers.next()) == ["j"]


def test_a_life_that_is_over_begins_anew_with_what_did_not_count():
    """What counted is done with; messages and leaves that are answered go again in their order behind the new
    Hello, joins don't.
    """
    a, b, c, d = (message(name) for name in "abcd")
    numbers = begun(a, join("j1"))
    send(numbers)
    numbers.offer(b)
    numbers.offer(leave("l"))
    send(numbers)
    numbers.offer(c)
    numbers.offer(join("j2"))
    under_way = numbers.next()
    numbers.offer(d)
    numbers.offer(join("j3"))
    assert numbers.end(1, 2) == []
    assert (a.counted, numbers.life, numbers.begun, numbers.counted) == (True, 2, False, 0)
    assert under_way is not None
    assert numbers.confirmed(under_way) == []
    hello = send(numbers)
    assert envelope.decode(hello.body("g", 7)) == [Batch("g", 2, 1, 7), Hello()]
    batch = numbers.next()
    assert (batch and batch.number, names(batch)) == (2, ["b", "l", "c", "d"])
    assert (numbers.charged, numbers.controls) == (3, 1)


def test_what_a_life_that_is_over_counted_without_a_confirm_does_not_go_again():
    """The batch under way was taken."""
    a = message("a")
    numbers = begun(a)
    numbers.next()
    assert numbers.end(1, 2) == [a]
    send(numbers)
    assert numbers.next() is None


def test_a_life_ends_once():
    """What is said of another one than the present is old."""
    numbers = begun(message("a"))
    assert numbers.end(2, 0) is None
    assert numbers.end(1, 0) == []
    assert numbers.end(1, 0) is None
    assert numbers.life == 2


def test_controls_take_place_until_the_routers_have_counted_them():
    """For their own bound: while routers are away the log must not grow by them either."""
    numbers = begun(join("a"), leave("b"))
    assert (numbers.controls, numbers.waiting) == (2, 2)
    batch = numbers.next()
    assert numbers.controls == 2
    assert batch is not None
    assert [entry.size for entry in numbers.confirmed(batch)] == [1, 1]
    assert (numbers.controls, numbers.waiting) == (2, 0)
    assert numbers.end(1, 0) == []  # the leave did not count
    assert numbers.controls == 1


def test_whose_answer_is_awaited_is_kept_and_charged_until_it_comes():
    """Also when it has counted: the answer may be lost. One that came before the count is enough."""
    a, b = message("a", 5, awaited=True), message("b", 7, awaited=True)
    numbers = begun(a, b)
    send(numbers)
    numbers.answered(a)
    numbers.count(1, 2)
    assert (a.envelope, numbers.charged, numbers.charged_bytes) == (None, 1, 7)
    numbers.answered(b)
    numbers.answered(b)
    assert (b.envelope, numbers.charged, numbers.charged_bytes) == (None, 0, 0)


def test_what_has_counted_goes_again_where_its_answer_may_be_lost():
    """Behind what waits, as a new batch; what is not counted is not touched, since its answer is still to
    come.
    """
    entries = [message(name, awaited=True) for name in "ab"]
    numbers = begun(entries[0])
    send(numbers)
    numbers.offer(entries[1])
    send(numbers)
    numbers.count(1, 2)
    numbers.offer(message("c"))
    numbers.ask_again()
    batch = send(numbers)
    assert (batch.number, names(batch)) == (4, ["c", "a"])
    numbers.count(1, 4)
    assert numbers.charged == 2
    for entry in entries:
        numbers.answered(entry)
    assert numbers.charged == 0
    numbers.ask_again()
    assert numbers.next() is None


def test_a_new_life_asks_for_answers_too():
    """First of all, since those came first."""
    a, b = message("a", awaited=True), message("b")
    numbers = begun(a)
    send(numbers)
    numbers.count(1, 2)
    numbers.offer(b)
    numbers.end(1, 2)
    send(numbers)
    assert names(numbers.next()) == ["a", "b"]
    assert numbers.charged == 2


def test_who_gives_up_waiting_frees_its_place():
    """Though no answer has come."""
    a = message("a", 9, awaited=True)
    numbers = begun(a)
    send(numbers)
    numbers.count(1, 2)
    assert numbers.charged_bytes == 9
    numbers.give_up(a)
    assert (numbers.charged, numbers.charged_bytes) == (0, 0)
    numbers.ask_again()
    assert numbers.next() is None


def test_a_leave_whose_answer_may_be_lost_goes_again():
    """It takes no place of messages."""
    away = Entry(envelope.Leave(("r",), "g~1", "ref"), 1, kept=True, charged=False, awaited=True)
    numbers = begun(away)
    send(numbers)
    numbers.count(1, 2)
    assert (numbers.charged, numbers.controls) == (0, 0)
    numbers.ask_again()
    assert numbers.controls == 1
    assert names(send(numbers)) == ["g~1"]
    numbers.count(1, 3)
    assert numbers.controls == 0


def test_what_is_withdrawn_before_it_was_sent_is_forgotten():
    """It takes no place any more, and its sender can be told at once."""
    a, b = message("a", awaited=True), message("b")
    numbers = begun(a, b)
    assert numbers.withdraw(a)
    assert not numbers.withdraw(a)
    assert numbers.charged == 1
    assert names(send(numbers)) == ["b"]


def test_what_is_withdrawn_under_way_goes_no_second_time():
    """Nobody knows whether the batch that failed is in the log; the rest of it goes under a new number."""
    a, b = message("a", awaited=True), message("b")
    numbers = begun(a, b)
    failed = numbers.next()
    assert failed is not None
    assert not numbers.withdraw(a)
    assert numbers.next() is failed
    numbers.failed(failed)
    again = numbers.next()
    assert (again and again.number, names(again)) == (3, ["b"])
    assert numbers.charged == 1
    numbers.give_up(a)
    assert (numbers.charged, a.awaited) == (1, False)


def test_what_is_withdrawn_and_confirmed_counts_as_before():
    """It was in the log before; it is charged until it has counted."""
    a = message("a")
    numbers = begun(a)
    batch = numbers.next()
    assert batch is not None
    numbers.withdraw(a)
    assert numbers.confirmed(batch) == [a]
    assert numbers.charged == 1
    numbers.count(1, 2)
    assert numbers.charged == 0
    assert not numbers.withdraw(a)


def test_what_is_withdrawn_in_the_log_is_not_taken_into_another_life():
    """Neither what did not count there, nor what counted and whose answer was lost; who waits for that may
    give up once.
    """
    a, b, c = message("a", awaited=True), message("b", awaited=True), message("c")
    numbers = begun(a, b, c)
    send(numbers)
    numbers.withdraw(a)
    assert numbers.end(1, 1) == []
    send(numbers)
    assert names(numbers.next()) == ["b", "c"]
    numbers.give_up(a)
    assert numbers.charged == 2

    numbers.confirmed(numbers.next())
    numbers.withdraw(b)
    numbers.count(2, 2)
    numbers.ask_again()
    assert numbers.next() is None
    assert numbers.charged == 1
    numbers.answered(b)
    assert numbers.charged == 0
