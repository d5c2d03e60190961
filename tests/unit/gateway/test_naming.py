"""Names, spans of time, and refusals in the words of whoever asked."""

from datetime import timedelta

import pytest

from gateway.naming import check_name, parse_duration, parse_expiry
from gateway.unacceptable import Unacceptable, literally


@pytest.mark.parametrize("name", ["a", "0", "head-quarters", "a" * 63])
def test_a_name_is_short_and_plain(name):
    assert check_name("name", name) == name


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a.b", "a" * 64, "a\n", "é", "\u0661"])
def test_anything_else_is_no_name(name):
    with pytest.raises(Unacceptable, match="is not a name") as refused:
        check_name("via", name)
    assert refused.value.field == "via"


def test_a_duration_has_one_unit():
    spans = [parse_duration("ttl", text) for text in ("90d", "12h", "30m", "45s")]
    assert spans == [timedelta(days=90), timedelta(hours=12), timedelta(minutes=30), timedelta(seconds=45)]
    assert parse_expiry("expires", "1d") == timedelta(days=1)
    assert parse_expiry("expires", "never") is None


@pytest.mark.parametrize("text", ["", "0d", "1", "d", "1w", "1d2h", " 1d", "3651d", "1000000s", "-1d", "{ttl}"])
def test_anything_else_is_no_duration(text):
    with pytest.raises(Unacceptable, match="is not a duration"):
        parse_duration("ttl", text)


def test_a_problem_names_its_fields_as_the_asker_does():
    refused = Unacceptable("base_url", "{via} direct needs {base_url}: " + literally("{not a field}"))
    assert str(refused) == "via direct needs base_url: {not a field}"
    assert refused.text({"base_url": "--base-url"}) == "via direct needs --base-url: {not a field}"
