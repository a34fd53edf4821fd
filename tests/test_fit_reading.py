"""Logs of every kind are read; what is wrong with one is counted, told, or refused in one line."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

import backwater as bw
from backwater.experiments.fit.log import Asked, read_log

START = 1_700_000_000  # 2023-11-14 22:13:20 UTC
TIMES = np.array([0.0, 0.25, 1.5, 4.75, 7.0, 7.125, 11.0, 12.5, 13.0, 20.0])
APACHE = '10.0.0.{0} - - [{1}] "GET /p{0} HTTP/1.1" {2} 99 "-" "Mozilla/5.0 (X11; rv:1)"{3}\n'


def stamped(seconds: np.ndarray) -> list[str]:
    return [str(pd.Timestamp(START * 10**9 + round(s * 1e9), unit="ns")) for s in seconds]


def write(folder, name: str, text: str):
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def csv(folder, header: str, *columns):
    return write(
        folder, "log.csv", "\n".join([header, *(",".join(map(str, row)) for row in zip(*columns, strict=True))])
    )


@pytest.mark.parametrize(("unit", "size"), [("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_epochs_are_known_by_their_size(unit, size, tmp_path):
    whole = [START * round(size) + round(s * size) for s in TIMES]
    log = read_log(csv(tmp_path, "when,x", whole, range(10)))
    told = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit]
    assert f"{told} since 1970" in log.told[0]
    assert log.origin.startswith("2023-11-14 22:13:20")
    if unit == "s":
        assert (log.times // 1).tolist() == np.round(TIMES).tolist()
    else:
        assert log.times.tolist() == TIMES.tolist()


def test_a_float_epoch_keeps_its_digits_and_no_more(tmp_path):
    log = read_log(csv(tmp_path, "ts", [f"{START + s:.3f}" for s in TIMES + 0.123]))
    assert log.resolution == 1e-3
    assert np.allclose(np.diff(log.times), np.diff(TIMES), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("semicolons", "start;took\n" + "\n".join(f"{t};1" for t in stamped(TIMES))),
        ("tabs", "a\ttime\n" + "\n".join(f"1\t{t}" for t in stamped(TIMES))),
        ("no header", "\n".join(f"{t},3" for t in stamped(TIMES))),
        ("one column", "\n\ntimestamp\n" + "\n".join(stamped(TIMES))),
        ("zones", "time\n" + "\n".join(f"{t}+00:00" if n % 2 else str(pd.Timestamp(t) + pd.Timedelta("2h")) + "+02:00"
                                       for n, t in enumerate(stamped(TIMES)))),
        ("JSON", "\n".join(json.dumps({"@timestamp": t, "http": {"status": 200}}) for t in stamped(TIMES))),
        ("out of order", "time\n" + "\n".join(stamped(TIMES)[::-1])),
        ("byte order mark", "\ufefftime,x\n" + "\n".join(f"{t},1" for t in stamped(TIMES))),
    ],
)  # fmt: skip
def test_the_same_times_in_many_forms(name, text, tmp_path):
    path = write(tmp_path, "log", text)
    asked = Asked(time="1") if name == "no header" else Asked()
    log = read_log(path, asked)
    assert log.times.tolist() == TIMES.tolist()
    assert log.span == pytest.approx(20 + 20 / 9)
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_log(packed, asked).times.tolist() == TIMES.tolist()


def test_parquet_is_read_where_pyarrow_is_there_and_refused_in_words_where_it_is_not(tmp_path):
    path = tmp_path / "log.parquet"
    try:
        pd.DataFrame({"time": pd.to_datetime(stamped(TIMES), format="ISO8601"), "n": range(10)}).to_parquet(path)
    except ImportError:
        path.write_bytes(b"PAR1....PAR1")
        with pytest.raises(bw.ScenarioError, match=r"LOG is Parquet, which needs pyarrow: pip install"):
            read_log(path)
        return
    assert read_log(path).times.tolist() == TIMES.tolist()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(bw.ScenarioError, match="must be a whole Parquet file"):
        read_log(path)


def test_access_logs_with_and_without_request_times(tmp_path):
    moments = [pd.Timestamp(START + int(s), unit="s").strftime("%d/%b/%Y:%H:%M:%S +0000") for s in TIMES]
    lines = [APACHE.format(n, t, 503 if n == 3 else 200, "") for n, t in enumerate(moments)]
    log = read_log(write(tmp_path, "a.log", "".join(lines)))
    assert (log.form, log.resolution, log.service) == ("an access log", 1.0, None)
    assert (log.times // 1).tolist() == np.floor(TIMES).tolist()
    assert log.failed.nonzero()[0].tolist() == [3]
    lines = [APACHE.format(n, t, 200, f" 0.{100 + n}") for n, t in enumerate(moments)]
    log = read_log(write(tmp_path, "n.log", "".join(lines)))
    assert log.columns_of["service"] == "request_time"
    assert sorted(log.service) == pytest.approx([(100 + n) / 1000 for n in range(10)])
    assert "its times are those of the answers" in log.told[-1] or any("answers" in told for told in log.told)


def test_a_balancers_log(tmp_path):
    line = ('https {}Z app/lb/1 10.0.0.{}:3 10.1.1.1:80 0.001 0.{} 0.000 200 200 34 366 '
            '"GET https://x:443/ HTTP/1.1" "curl" - - arn "Root=1" "x" "y" 0 t "forward" "-" "-"\n')  # fmt: skip
    text = "".join(line.format(t.replace(" ", "T"), n, 100 + n) for n, t in enumerate(stamped(TIMES)))
    log = read_log(write(tmp_path, "alb.log", text))
    assert log.columns_of["service"] == "target_processing_time"
    assert log.service[:2] == pytest.approx([0.1, 0.101])


@pytest.mark.parametrize(
    ("header", "asked", "seconds"),
    [
        ("time,duration_ms", None, 1e-3), ("time,latency (us)", None, 1e-6), ("time,elapsedMs", None, 1e-3),
        ("time,took", "took:s", 1.0), ("time,x", "x:ms", 1e-3), ("time,tokens", "10 ms + tokens * 2 ms", None),
    ],
)  # fmt: skip
def test_durations_have_the_unit_of_their_column_or_the_one_given(header, asked, seconds, tmp_path):
    values = np.arange(1.0, 11.0)
    log = read_log(csv(tmp_path, header, stamped(TIMES), values), Asked(service=asked))
    assert log.service == pytest.approx(0.01 + values * 0.002 if seconds is None else values * seconds)


def test_a_duration_without_a_unit_is_a_hint_not_a_guess(tmp_path):
    path = csv(tmp_path, "time,duration", stamped(TIMES), range(10))
    assert "say --service duration:ms" in read_log(path).warned[0]
    with pytest.raises(bw.ScenarioError, match="must have a unit, such as duration:ms"):
        read_log(path, Asked(service="duration"))


def test_what_is_broken_is_counted_and_told(tmp_path):
    rows = [f"{t},{n}" for n, t in enumerate(stamped(TIMES))]
    rows[0:0] = ["1,2,3"]
    rows[3:3] = ["garbage", "1,2,3,4", "yesterday,5", "time,took_s", "9999-01-01,3"]
    rows[-1] = rows[-1].rsplit(",", 1)[0] + ",-5"
    log = read_log(write(tmp_path, "log", "time,took_s\n" + "\n".join(rows)))
    assert len(log) == 10
    assert "6 of 16 lines are broken and left out" in log.told
    assert "1 durations are below 0 and left out" in log.told
    assert np.isnan(log.service[-1])
    long = [json.dumps({"time": t}) for t in stamped(TIMES)]
    long[4:4] = ["x" * 200_000, "[1]", '{"time": ']
    log = read_log(write(tmp_path, "long", "\n".join(long)))
    assert (len(log), "3 of 13 lines are broken and left out" in log.told) == (10, True)


def test_mixed_zones_and_a_change_of_clocks_are_doubtful(tmp_path):
    mixed = [t + ("Z" if n % 2 else "") for n, t in enumerate(stamped(TIMES))]
    assert "no zone" in read_log(csv(tmp_path, "time", mixed)).warned[0]
    hours = np.arange(0, 4 * 3600, 40.0)
    local = hours - 3600 * (hours >= 7200)
    warned = read_log(csv(tmp_path, "time", stamped(local))).warned
    assert len(warned) == 1
    assert "once, after line 180: a local clock that left summer time?" in warned[0]


def test_rounded_times_are_spread_within_their_second_and_stay_in_it(tmp_path):
    rng = np.random.default_rng(5)
    exact = np.sort(rng.random(5000) * 1000)
    log = read_log(csv(tmp_path, "time", [START + int(s) for s in exact]))
    assert np.array_equal(np.bincount(log.times.astype(int)), np.bincount((exact - exact[0] // 1).astype(int)))
    # The mean of 5,000 uniforms: 3.9 standard errors, so once in 10,000 by chance.
    assert abs((log.times % 1).mean() - 0.5) < 3.9 / np.sqrt(12 * 5000)
    assert "resolution of 1 s: spread uniformly within it" in log.told[-1]


@pytest.mark.parametrize(
    ("content", "asked", "line"),
    [
        (b"", {}, "LOG must hold requests, and is empty"),
        (b"\n \n", {}, "LOG must hold requests, and is empty"),
        (b"time\n", {}, "must hold a line of requests"),
        (b"time\n1\n", {}, "must hold two requests or more"),
        (b"\x00\x01\x02" * 50, {}, "must be text"),
        (b"x" * 300_000, {}, "must have lines: none ends within 256 KiB"),
        (b"\x1f\x8b\x08broken", {}, "must be a file that can be read: its compression is broken"),
        (b"tiem,x\n1,2\n2,3\n", {}, "--time must name the column of times: the log has tiem, x"),
        (b"time,x\n1,2\n2,3\n", {"time": "tme"}, '--time must be a column of the log; did you mean "time"?'),
        (b"time,x\n1,2\n2,3\n", {"time": "time:parsec"}, "--time must end in a unit of time"),
        (b"time,dur\n1,2\n2,3\n", {"service": "dru:ms"}, '--service must be a column of the log; did you mean "dur"?'),
        (b"time,dur\n1,-2\n2,-3\n", {"service": "dur:ms"}, "--service must hold durations that are not below 0"),
        (b"time,n\n1,2\n2,3\n", {"service": "5 + n * 1 ms"}, "--service must be a time such as"),
        (b"time,n\n1,2\n2,3\n", {"service": "m * 1 ms"}, "--service must be a numeric column of the log"),
        (b"time,s\n1,2\n2,3\n", {"status": "stat"}, "--status must be a column of the log"),
        (b"time\nmonday\ntuesday\n", {}, "--time must hold ISO dates and times, or numbers"),
        (b"time\n5\n5\n5\n", {"time": "time:ns"}, "--time must differ: all requests have the same time"),
        (b"time,time\n1,2\n", {}, "must name each column once"),
        (b'x_bucket{le="1"} 3\nx_bucket{le="+Inf"} 4\n', {}, "give Prometheus buckets as --buckets"),
        (b"\n".join([b"time,x", *[b"1,2,3"] * 5, b"1,2", b"2,3"]), {}, "must have most lines whole: 5 of 7 are broken"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_in_one_line(content, asked, line, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(bw.ScenarioError) as refused:
        read_log(path, Asked(**asked))
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(bw.ScenarioError, match="LOG must be a file that can be read: No such file"):
        read_log(tmp_path / "none.csv")
    with pytest.raises(bw.ScenarioError, match="LOG must be a file that can be read: Is a directory"):
        read_log(tmp_path)
