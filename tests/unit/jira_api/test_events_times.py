"""Jira's dates as instants, and moments as JQL wants them: never later than meant."""

from datetime import UTC, datetime, timedelta

import pytest

from jira_api.events import times
from jira_api.events.times import jql_moment, milliseconds, moment_of, parse_moment

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-08-25T11:31:57.000+0800",
        "2026-08-25T11:31:57.000+08:00",
        "2026-08-25T03:31:57.000Z",
        "2026-08-25T03:31:57Z",
        "2026-08-25T03:31:57.000+0000",
        "2026-08-24T23:01:57.000-0430",
    ],
)
def test_every_way_of_writing_a_date_is_one_instant(text):
    assert parse_moment(text) == utc("2026-08-25T03:31:57")
    assert parse_moment(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        None, True, 1772528565120, ["2026-08-25T11:31:57.000+0800"], "", "2026-08-25", "2026-08-25T11:31:57.000",
        "2026-13-25T11:31:57.000+0800", "2026-08-25T11:31:57.000+0800" + " " * 50, "0001-01-01T00:00:00.000+1400",
        "9999-12-31T23:59:59.000-1200", "2026-08-25T11:31:57\ud800+0800", "\uff12026-08-25T11:31:57.000+0800", "T",
    ],
)  # fmt: skip
def test_what_is_no_date_with_an_offset_is_none(text):
    assert parse_moment(text) is None


def test_milliseconds_are_exact():
    assert milliseconds(parse_moment("2026-03-04T16:20:11.907+0100")) == 1772637611907
    assert milliseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert moment_of(1772637611907) == parse_moment("2026-03-04T16:20:11.907+0100")


@pytest.mark.parametrize("stamp", [None, True, -1, 1.5, float("nan"), "1772637611907", 10**18, 10**400, [], {}])
def test_what_is_no_number_of_milliseconds_is_none(stamp):
    assert moment_of(stamp) is None


@pytest.mark.parametrize(
    ("moment", "zone", "text"),
    [
        ("2026-08-25T03:31:57.999", "UTC", "2026/08/25 03:31"),
        ("2026-08-25T03:31:57.999", BERLIN, "2026/08/25 05:31"),
        ("2026-08-25T03:31:57.999", "Asia/Kolkata", "2026/08/25 09:01"),
        ("2026-08-25T03:31:57.999", "America/St_Johns", "2026/08/25 01:01"),
        ("2026-01-25T03:31:57.999", "America/St_Johns", "2026/01/25 00:01"),
        ("2026-01-01T00:00:00", "America/St_Johns", "2025/12/31 20:30"),
    ],
)
def test_a_moment_is_local_time_rounded_down_to_the_minute(moment, zone, text):
    assert jql_moment(utc(moment), zone, NOW) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-10-24T23:59:59", "2026/10/25 01:59"),
        ("2026-10-25T00:30:00", "2026/10/25 01:30"),  # 02:30 for the first time
        ("2026-10-25T01:30:00", "2026/10/25 01:30"),  # 02:30 for the second time
        ("2026-10-25T01:59:59", "2026/10/25 01:59"),
        ("2026-10-25T02:00:00", "2026/10/25 03:00"),
    ],
)
def test_a_local_time_that_happens_twice_is_moved_back_by_an_hour(moment, text):
    assert jql_moment(utc(moment), BERLIN, NOW) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-03-29T00:59:59", "2026/03/29 01:59"),
        ("2026-03-29T01:00:00", "2026/03/29 03:00"),  # 02:00 to 02:59 never were
        ("2026-03-29T01:30:00", "2026/03/29 03:30"),
    ],
)
def test_a_local_time_that_never_was_is_not_written(moment, text):
    assert jql_moment(utc(moment), BERLIN, NOW) == text
    missing = datetime(2026, 3, 29, 2, 30, tzinfo=times.ZoneInfo(BERLIN))
    assert times._is_uncertain(missing)
    assert not times._is_uncertain(missing - timedelta(hours=1))


@pytest.mark.parametrize(
    "zone",
    [
        None,
        "",
        "Europe/Nowhere",
        "../../etc/passwd",
        "/etc/passwd",
        "Europe",
        "x" * 5000,
        "Europe/Berlin\0",
        "Zürich",
        ".",
    ],
)
def test_without_a_zone_that_is_known_the_moment_is_relative(zone):
    assert jql_moment(NOW - timedelta(minutes=90), zone, NOW) == "-92m"
    assert jql_moment(NOW - timedelta(minutes=90, seconds=1), zone, NOW) == "-93m"


def test_a_moment_in_the_future_is_a_little_in_the_past():
    assert jql_moment(NOW + timedelta(hours=1), None, NOW) == "-2m"
