"""The audit chain: any edit, removal, insertion or move is found; a cut end is found with a kept head."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.audit import ORIGIN, AuditBroken, AuditChain, AuditRecord, Head, write_detail

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
CHAIN = AuditChain(b"k" * 32)


def trail(count=5, chain=CHAIN):
    head, records = Head(), []
    for index in range(count):
        entry = AuditRecord(NOW + timedelta(seconds=index), "alice", "token.create", f"t{index}")
        records.append(chain.seal(head, replace(entry, detail=write_detail({"rate": 1.5}))))
        head = Head(records[-1].seq, records[-1].mac)
    return records


def test_an_untouched_trail_verifies_and_gives_its_head():
    records = trail()

    assert CHAIN.verify(records) == Head(5, records[-1].mac)
    assert CHAIN.verify([]) == Head(0, ORIGIN)


@pytest.mark.parametrize(
    "edit",
    [
        {"actor": "mallory"},
        {"action": "token.revoke"},
        {"subject": "other"},
        {"detail": '{"rate":2.5}'},
        {"at": NOW + timedelta(days=1)},
        {"mac": "0" * 64},
    ],
)
def test_an_edited_record_is_found(edit):
    records = trail()
    records[2] = replace(records[2], **edit)
    with pytest.raises(AuditBroken) as caught:
        CHAIN.verify(records)

    assert caught.value.seq == 3


@pytest.mark.parametrize("gone", [0, 2, 3])
def test_a_missing_record_is_found(gone):
    records = trail()
    del records[gone]
    with pytest.raises(AuditBroken) as caught:
        CHAIN.verify(records)

    assert caught.value.seq == gone + 1


def test_a_missing_record_is_found_when_the_rest_is_renumbered():
    records = trail()
    del records[2]
    records = [replace(record, seq=index) for index, record in enumerate(records, start=1)]
    with pytest.raises(AuditBroken):
        CHAIN.verify(records)


def test_moved_records_are_found():
    records = trail()
    records[1], records[2] = replace(records[2], seq=2), replace(records[1], seq=3)
    with pytest.raises(AuditBroken):
        CHAIN.verify(records)


def test_a_cut_end_is_found_with_the_head_that_was_kept():
    records = trail()
    kept = CHAIN.verify(records)
    CHAIN.verify(records[:3])
    with pytest.raises(AuditBroken) as caught:
        CHAIN.verify(records[:3], kept)

    assert caught.value.seq == 4


def test_an_older_head_fits_a_trail_that_grew():
    records = trail()
    older = CHAIN.verify(records[:3])

    assert CHAIN.verify(records, older).count == 5
    assert CHAIN.verify(records, Head()).count == 5


def test_a_head_of_another_trail_does_not_fit():
    with pytest.raises(AuditBroken):
        CHAIN.verify(trail(), Head(3, "f" * 64))


def test_whoever_lacks_the_key_cannot_write_a_trail():
    with pytest.raises(AuditBroken):
        CHAIN.verify(trail(chain=AuditChain(b"x" * 32)))


def test_the_time_is_kept_in_milliseconds_so_that_the_store_returns_the_same():
    assert trail(1)[0].at == NOW.replace(microsecond=123000)


def test_a_head_reads_as_it_is_written():
    head = Head(12, "ab" * 32)

    assert Head.parse(str(head)) == head


@pytest.mark.parametrize("text", ["", "12", ":" + "a" * 64, "x:" + "a" * 64, "1:abc"])
def test_anything_else_is_no_head(text):
    with pytest.raises(ValueError, match="is not an audit head"):
        Head.parse(text)
