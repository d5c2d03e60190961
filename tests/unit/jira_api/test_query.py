"""Queries as Jira reads them."""

import pytest

from jira_api.query import credential_query_names, query_parameters, redact_query


def test_parameters_are_decoded_once_in_order_with_repeats():
    assert query_parameters(b"a=1&&b=x+y%2B&a=&c&%61=%2561") == [
        ("a", "1"), ("b", "x y+"), ("a", ""), ("c", ""), ("a", "%61"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (b"", ()),
        (b"jql=os_username%3Dx&fields=jwt", ()),
        (b"jwtx=1&xjwt=2&os_=3", ()),
        (b"%66ields=a", ()),
        (b"os_username=a&os_password=b", ("os_username", "os_password")),
        (b"x=1&_method=DELETE", ("_method",)),
        (b"OS_Cookie=1", ("OS_Cookie",)),
        (b"os%5Fpassword=1", ("os_password",)),
        (b"jwt", ("jwt",)),
        (b"+jwt=1", (" jwt",)),
    ],
)
def test_parameters_that_carry_a_login_or_a_method_are_named(query, names):
    assert credential_query_names(query) == names


def test_redaction_hides_values_and_changes_nothing_else():
    assert (
        redact_query(b"jql=a%20b&os_password=s3cret&os%5fcookie=x&y") == b"jql=a%20b&os_password=***&os%5fcookie=***&y"
    )
    assert redact_query(b"") == b""
