"""What of a webhook travels, and what a gap says."""

import json

from agent.spool_records import MAX_QUERY, ROW_OVERHEAD, Cause, SpoolRecord, gap_record, kept_headers, webhook_record


def test_only_the_headers_of_the_protocol_travel_as_they_came():
    headers = [
        (b"Content-Type", b"application/json;charset=UTF-8"),
        (b"Authorization", b"Basic c2VjcmV0"),
        (b"x-hub-signature", b"sha256=1"),
        (b"X-Hub-Signature-256", b"sha256=2"),
        (b"X-Atlassian-Webhook-Flow", b"Primary"),
        (b"User-Agent", b"Atlassian"),
        (b"Via", b"1.1 localhost"),
    ]
    assert [name for name, _ in kept_headers(headers)] == [
        b"Content-Type", b"x-hub-signature", b"X-Atlassian-Webhook-Flow", b"User-Agent",
    ]  # fmt: skip


def test_headers_that_are_too_many_do_not_travel():
    headers = [(b"X-Atlassian-Webhook-%d" % number, b"x" * 1000) for number in range(20)]
    assert len(kept_headers([(b"Cookie", b"x" * 20_000), *headers])) == 8


def test_a_query_that_is_too_long_is_left_out():
    assert webhook_record("e", b"\xab", 1, b"q" * MAX_QUERY, [], b"").query == b"q" * MAX_QUERY
    assert webhook_record("e", b"\xab", 1, b"q" * (MAX_QUERY + 1), [], b"").query == b""


def test_a_webhook_goes_to_its_hooks_hash():
    record = webhook_record("e", b"\xab\xcd", 1, b"", [], b"")
    assert record.target == b"/v1/events/abcd"
    assert not record.is_gap


def test_a_gap_says_when_and_why_whatever_the_clock_did():
    for since, now in ((100, 250), (250, 100)):
        record = gap_record("e", since, now, Cause.SPOOL_FULL)
        assert record.is_gap
        assert json.loads(record.body) == {"from": 100, "to": 250, "cause": "spool_full"}


def test_everything_in_a_record_counts():
    record = SpoolRecord("e", b"/t", 1, b"qq", [(b"ab", b"c")], b"12345")
    assert record.size == ROW_OVERHEAD + 2 + 2 + 5 + 5
