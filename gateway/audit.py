"""The audit chain: every record's MAC covers its own fields and the MAC before it. Pure.

The key is derived from the gateway's secret key, so whoever can write the database but not read the key
cannot edit, remove, insert or reorder a record unseen. Cutting records off the end is seen by comparing
with a head (`COUNT:MAC`) that was kept elsewhere: `audit verify --head`.
"""

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

ORIGIN = "0" * 64
"""Stands where the MAC before the first record would be."""

Detail = Mapping[str, str | int | float | bool | list[str] | None]


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One change: who did what to whom, and the MAC that chains it to the record before it.

    `at` has whole milliseconds; `detail` is a JSON object and holds no secret.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    detail: str = "{}"
    seq: int = 0
    mac: str = ""


def write_detail(detail: Detail) -> str:
    """Return a record's detail as the JSON text that is stored and sealed."""
    return json.dumps(dict(detail), sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Head:
    """Where a trail ends: how many records, and the last one's MAC. Written `COUNT:MAC`."""

    count: int = 0
    mac: str = ORIGIN

    def __str__(self) -> str:
        return f"{self.count}:{self.mac}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read `COUNT:MAC`; raises ValueError when it is neither."""
        count, colon, mac = text.strip().partition(":")
        if not (colon and count.isascii() and count.isdigit() and len(mac) == len(ORIGIN)):
            raise ValueError(f"{text!r} is not an audit head; give COUNT:MAC as `audit verify` prints it")
        return cls(int(count), mac.lower())


class AuditBroken(Exception):
    """The trail was changed: `seq` is the first record that does not fit, `problem` says how."""

    def __init__(self, seq: int, problem: str) -> None:
        super().__init__(seq, problem)
        self.seq = seq
        self.problem = problem

    def __str__(self) -> str:
        return f"the audit trail is broken at record {self.seq}: {self.problem}"


class AuditChain:
    """Makes and checks the MACs of one trail with its key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, head: Head, record: AuditRecord) -> AuditRecord:
        """Return the record as the one that follows `head`: its number and MAC, its time cut to milliseconds."""
        at = record.at.astimezone(UTC)
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        numbered = replace(record, seq=head.count + 1, at=at)
        return replace(numbered, mac=self._mac(head.mac, numbered))

    def verify(self, records: Iterable[AuditRecord], kept: Head | None = None) -> Head:
        """Check every record in order and return the head of the trail.

        Raises:
            AuditBroken: a record was edited, removed, inserted or moved, or the trail does not hold `kept`.
        """
        check = self.check(kept)
        for record in records:
            check.follow(record)
        return check.end()

    def check(self, kept: Head | None = None) -> "AuditCheck":
        """Return a check that takes the records one after the other, for a trail too long to hold."""
        return AuditCheck(self, kept)

    def fits(self, head: Head, record: AuditRecord) -> bool:
        """Say whether the record's MAC is the one that follows `head`."""
        return hmac.compare_digest(record.mac, self._mac(head.mac, record))

    def _mac(self, before: str, record: AuditRecord) -> str:
        # A JSON list is unambiguous: no two different records have the same bytes.
        fields = [before, record.seq, record.at.isoformat(timespec="milliseconds")]
        fields += [record.actor, record.action, record.subject, record.detail]
        return hmac.new(self._key, json.dumps(fields).encode(), sha256).hexdigest()


class AuditCheck:
    """One walk along a trail, from its beginning."""

    def __init__(self, chain: AuditChain, kept: Head | None) -> None:
        self._chain = chain
        self._kept = kept
        self._head = Head()

    def follow(self, record: AuditRecord) -> None:
        """Take the next record; raises AuditBroken."""
        if record.seq != self._head.count + 1:
            raise AuditBroken(self._head.count + 1, f"it is missing, record {record.seq} stands in its place")
        if not self._chain.fits(self._head, record):
            raise AuditBroken(record.seq, "its content was changed, or the secret key is another one")
        self._head = Head(record.seq, record.mac)
        if self._kept is not None and self._kept.count == record.seq and self._kept.mac != record.mac:
            raise AuditBroken(record.seq, "it is not the record that the given head names")

    def end(self) -> Head:
        """Return the head of the whole trail; raises AuditBroken when the one that was kept lies behind its end."""
        if self._kept is not None and self._kept.count > self._head.count:
            problem = f"records up to {self._kept.count} are missing at the end"
            raise AuditBroken(self._head.count + 1, problem)
        return self._head
