"""The rules that both engines share of a broker, each against a table made by hand."""

import math

import pytest

from backwater.components.broker import due_check, hidden_for, next_poll, survives


@pytest.mark.parametrize(("delivered", "visibility", "sweep", "hidden"), [
    (3.0, 30.0, 0.0, 30.0),  # at once
    (3.0, 30.0, 100.0, 97.0),  # due at 33, found at 100
    (70.0, 30.0, 100.0, 30.0),  # due at a sweep
    (70.5, 30.0, 100.0, 129.5),  # just missed one
])  # fmt: skip
def test_a_message_is_hidden_until_the_first_sweep_after_its_timeout(delivered, visibility, sweep, hidden):
    assert hidden_for(delivered, visibility, sweep) == hidden


@pytest.mark.parametrize(("since", "every", "wait", "now", "when"), [
    (1.0, 2.0, 0.0, 1.0, 3.0),  # a short poll that found nothing asks again
    (1.0, 2.0, 0.0, 2.5, 3.0),
    (1.0, 2.0, 0.0, 3.0, 5.0),  # one at this very moment has been
    (1.0, 2.0, 5.0, 1.0, 1.0),  # a long poll listens
    (1.0, 2.0, 5.0, 5.5, 5.5),
    (1.0, 2.0, 5.0, 6.0, 8.0),  # no longer, until the next one
    (1.0, 2.0, 5.0, 8.0, 8.0),
    (1.0, 0.0, 5.0, 6.0, 6.0),  # one long poll after the other
])  # fmt: skip
def test_a_poll_finds_what_is_there(since, every, wait, now, when):
    assert next_poll(since, every, wait, now) == when


@pytest.mark.parametrize(("stored", "now", "fsync", "lag", "kept"), [
    (4.0, 4.0, 0.0, 0.0, True),  # written as it is accepted
    (4.0, 4.0, math.inf, 0.0, False),  # never
    (4.0, 4.9, 1.0, 0.0, True),  # written at the very moment
    (4.1, 4.9, 1.0, 0.0, False),  # in the second that is lost
    (4.1, 5.0, 1.0, 0.0, True),
    (4.0, 4.5, 0.0, 0.5, True),  # the replica has just got it
    (4.1, 4.5, 0.0, 0.5, False),
    (4.0, 4.9, 1.0, 1.5, False),  # written, but not where the next one reads
])  # fmt: skip
def test_what_a_crash_leaves(stored, now, fsync, lag, kept):
    assert survives(stored, now, fsync, lag) == kept


def test_memory_is_looked_at_after_now():
    assert [due_check(now, 2.5) for now in (0.0, 2.4, 2.5, 7.4)] == [2.5, 2.5, 5.0, 7.5]
