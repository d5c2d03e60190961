"""What wrk says, read; and what it is asked."""

import pytest

from bench.measure import Request, read_report
from bench.place import Place

REPORT = """Running 2s test @ http://127.0.0.1:27001/rest/api/2/issue/OPS-42
  2 threads and 128 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.05ms    1.30ms  34.07ms   93.62%
    Req/Sec    31.87k     3.30k   37.22k    70.00%
  Latency Distribution
     50%  812.00us
     75%    2.30ms
     90%    2.90ms
     99%    1.02s
  126992 requests in 2.01s, 520.90MB read
  Socket errors: connect 1, read 20, write 300, timeout 4000
  Non-2xx or 3xx responses: 50000
Requests/sec:  63180.43
Transfer/sec:    259.15MB
"""


def test_a_report_is_read_with_its_units_and_all_errors():
    load = read_report(REPORT, {"gateway": 1.269920, "agent": 0.0})
    assert load.requests_per_second == 63180.43
    assert (load.p50, load.p99) == (0.812, 1020.0)
    assert load.errors == 1 + 20 + 300 + 4000 + 50000
    assert load.cpu == {"gateway": pytest.approx(10.0), "agent": 0.0}


def test_a_report_without_trouble_has_no_errors():
    lines = [line for line in REPORT.splitlines(keepends=True) if "errors" not in line and "Non-2xx" not in line]
    assert read_report("".join(lines), {}).errors == 0


@pytest.mark.parametrize("missing", ["requests in", "Requests/sec", "50%", "99%"])
def test_a_report_that_lacks_a_figure_is_an_error(missing):
    lines = [line for line in REPORT.splitlines(keepends=True) if missing not in line]
    with pytest.raises(ValueError, match="is not in"):
        read_report("".join(lines), {})


def test_one_connection_per_request_is_asked_for_by_a_header():
    kept, closed = (Request("http://x/", ("A: b",), keep_alive).command(16, 2) for keep_alive in (True, False))
    assert kept == [
        "wrk",
        "-t",
        "1",
        "-c",
        "16",
        "-d",
        "2s",
        "--latency",
        "--timeout",
        "10s",
        "-H",
        "A: b",
        "http://x/",
    ]
    assert closed == [*kept[:-1], "-H", "Connection: close", "http://x/"]


def test_a_place_runs_the_command_in_its_namespace():
    place = Place("198.51.100.10", ("ip", "netns", "exec", "cloud"))
    command = Request("http://x/", place=place).command(128, 1.5)
    assert command[:8] == ["ip", "netns", "exec", "cloud", "wrk", "-t", "2", "-c"]
