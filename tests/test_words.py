"""Units, addressed random numbers, the order of events."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

import backwater as bw
from backwater import order, random, units


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("250 ms", "time", 0.25), ("1h30m", "time", 5400), ("1.5 s", "time", 1.5), ("2 days", "time", 172800),
        ("64 MiB", "size", 2**26), ("64Mi", "size", 2**26), ("1.5 GB", "size", 1.5e9), ("400 kB", "size", 4e5),
        ("120/s", "rate", 120), ("120 rps", "rate", 120), ("2 M/day", "rate", 2e6 / 86400), ("6 k/min", "rate", 100),
        ("200 MB/s", "bandwidth", 2e8), ("0.1 %", "share", 0.001), ("1/3", "share", 1 / 3), ("0.25", "share", 0.25),
    ],
)  # fmt: skip
def test_a_quantity_is_read_in_base_units(text, dimension, value):
    assert units.parse(text, dimension) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text", ["", "5", "5 parsec", "-1 s", "nan s", "inf s", "1e999 s", "5 s ago", "s", "1 h -30 m", True, None, []]
)
def test_what_is_no_time_is_refused_with_what_was_given(text):
    with pytest.raises(bw.ScenarioError, match="must be a time such as") as refused:
        units.parse(text, "time")
    assert f"{text}"[:3] in str(refused.value)


def test_a_bare_number_is_base_units_in_python_and_refused_in_files():
    assert units.parse(0.25, "time") == 0.25
    with units.units_required(), pytest.raises(bw.ScenarioError, match="a number alone has no unit"):
        units.parse(0.25, "time")


@given(st.floats(0, 1e12), st.sampled_from(["time", "size", "rate", "bandwidth"]))
def test_what_is_written_reads_back_to_the_same_float(value, dimension):
    assert units.parse(units.text(value, dimension), dimension) == value


@pytest.mark.parametrize(
    ("value", "dimension", "shown"),
    [(0.00123456, "time", "1.23 ms"), (90.0, "time", "90 s"), (5400, "time", "90 min"), (2**26, "size", "64 MiB"),
     (0.12345, "share", "12.3 %"), (0.0, "time", "0 s"), (1234.5, "", "1,234"), (float("nan"), "time", "n/a")],
)  # fmt: skip
def test_people_read_three_digits_and_a_fitting_unit(value, dimension, shown):
    assert units.human(value, dimension) == shown


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter, key, words):
    given_words = [np.uint64(word) for word in (*counter, *key)]
    assert [f"{int(word):08x}" for word in random.philox(*given_words)] == words.split()


def test_uniforms_are_uniform_and_independent_between_addresses():
    seed = random.seed_word(2**64 - 1)  # the largest seed works too
    drawn = [random.uniform(seed, 3, 1, job, purpose, 2) for job in range(4000) for purpose in range(8)]
    assert 0 < min(drawn) < max(drawn) < 1
    assert len(set(drawn)) == len(drawn)
    assert kstest(drawn, "uniform").pvalue > 1e-4  # its chance of failing
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 3.9 / np.sqrt(len(drawn))  # 1e-4 too


@pytest.mark.parametrize("part", range(6))
def test_every_part_of_an_address_matters(part):
    address = [7, 1, 2, 2**33, 4, 5]
    other = list(address)
    other[part] += 1
    first, second = (random.uniform(random.seed_word(a[0]), *a[1:]) for a in (address, other))
    assert first != second


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "7"])
def test_a_wrong_seed_is_refused(seed):
    with pytest.raises(bw.ScenarioError, match="seed must be a whole number from 0 to"):
        random.seed_word(seed)


@given(*[st.tuples(st.integers(0, 7), st.integers(0, 255), st.integers(0, 2**36 - 1), st.integers(0, 2**14 - 1))] * 2)
def test_keys_order_events_by_rank_source_job_attempt(one, two):
    assert (order.key(*one) < order.key(*two)) == (one < two)
    assert order.key(*one) == (one[0] << order.RANK_SHIFT) + order.place(*one[1:3]) + one[3]
    assert order.key(*one) < order.LAST
