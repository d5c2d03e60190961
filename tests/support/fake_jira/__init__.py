"""A realistic stand-in Jira: real HTTP on a real port, every raw request recorded, faults on demand.

In a test: `async with FakeJira(profile="9.12", context="/jira") as jira:`. As a process of its own:
`with JiraProcess(...) as jira:` or `python -m tests.support.fake_jira`. Independent of our http1 package.
"""

from tests.support.fake_jira.misbehaviour import (
    Canned,
    CloseAfterRequestHead,
    CloseBeforeAnswer,
    CutMidBody,
    DripBody,
    Fault,
    Hang,
    LieAboutLength,
    RawAnswer,
    Rule,
    Slow,
    StallBody,
    StallRead,
    Status,
)
from tests.support.fake_jira.pattern import pattern_bytes, pattern_chunks, pattern_sha256
from tests.support.fake_jira.process import JiraProcess
from tests.support.fake_jira.profiles import ON_PREMISE
from tests.support.fake_jira.recording import RecordedRequest
from tests.support.fake_jira.server import FakeJira
from tests.support.fake_jira.tls import TlsFiles, client_context, make_certificate, server_context

__all__ = [
    "ON_PREMISE",
    "Canned",
    "CloseAfterRequestHead",
    "CloseBeforeAnswer",
    "CutMidBody",
    "DripBody",
    "FakeJira",
    "Fault",
    "Hang",
    "JiraProcess",
    "LieAboutLength",
    "RawAnswer",
    "RecordedRequest",
    "Rule",
    "Slow",
    "StallBody",
    "StallRead",
    "Status",
    "TlsFiles",
    "client_context",
    "make_certificate",
    "pattern_bytes",
    "pattern_chunks",
    "pattern_sha256",
    "server_context",
]
