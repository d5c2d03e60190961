"""The enrolment desk: the CA for everybody, a certificate for a good code, one word for everything else."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosedOK

from certs.csr import make_csr
from certs.enrollment import MAX_REQUEST_BYTES, EnrollmentGrant, EnrollmentRequest, parse_code
from certs.errors import EnrollmentRefused
from certs.keys import make_key
from gateway.certificate_authority import CertificateAuthority, invite
from gateway.enrollment import BURST, MAX_VISITS, EnrollmentDesk
from gateway.sealing import SecretKey
from gateway.store import open_store

KEY = SecretKey(SecretStr("k" * 40))


class Lingerer:
    """A visitor that says nothing until it is told to go."""

    def __init__(self):
        self.leaves = asyncio.Event()

    async def send(self, message):
        del message

    async def recv(self):
        await self.leaves.wait()
        raise ConnectionClosedOK(None, None)


class Visitor:
    """The gateway's end of a visitor's websocket."""

    def __init__(self, message=None):
        self.message = message
        self.sent = []

    async def send(self, message):
        self.sent.append(message)

    async def recv(self):
        if self.message is None:
            raise ConnectionClosedOK(None, None)
        return self.message


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gateway.db", KEY, datetime.now(UTC)) as store:
        yield store


@pytest.fixture
def authority(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    authority = CertificateAuthority(state)
    authority.create_if_absent(datetime.now(UTC))
    return authority


@pytest.fixture
def desk(store, authority):
    return EnrollmentDesk(store, authority)


@pytest.fixture
async def code(store, authority):
    by = ("test", datetime.now(UTC))
    made = await invite(store, authority, "hq", "wss://gw.example:8443", ttl=timedelta(hours=1), by=by)
    return parse_code(made.code.get_secret_value())


async def visit(desk, message, peer="10.0.0.1"):
    visitor = Visitor(message)
    await desk.serve(visitor, peer)
    return visitor.sent


def reason(answer):
    with pytest.raises(EnrollmentRefused) as refused:
        EnrollmentGrant.from_json(answer)
    return refused.value.reason.name


async def test_the_desk_is_full_while_as_many_visitors_as_there_may_be_stay(desk):
    visitors = [Lingerer() for _ in range(MAX_VISITS)]
    async with asyncio.TaskGroup() as tasks:
        for visitor in visitors:
            assert not desk.is_full
            tasks.create_task(desk.serve(visitor, "10.0.0.1"))
            await asyncio.sleep(0)
        assert desk.is_full
        for visitor in visitors:
            visitor.leaves.set()
    assert not desk.is_full


async def test_the_first_visit_gets_the_ca_and_tells_nothing(desk, authority):
    assert await visit(desk, None) == [authority.pem]


async def test_a_good_code_gets_a_certificate_once(desk, authority, code):
    key = make_key()
    request = EnrollmentRequest(code.secret, make_csr(key)).to_json()
    ca, answer = await visit(desk, request)
    certificate = EnrollmentGrant.from_json(answer).check(key, code.ca_fingerprint)
    _, again = await visit(desk, request)

    assert ca == authority.pem
    assert certificate.identity.name == "hq"
    assert reason(again) == "CODE_REJECTED"


@pytest.mark.parametrize(
    "message", [b"", "text", b"{}", b"\xff", bytes(MAX_REQUEST_BYTES + 1), b"[]", json.dumps({"a": 1}).encode()]
)
async def test_a_message_that_is_no_request_is_a_bad_one(desk, message):
    assert reason((await visit(desk, message))[1]) == "BAD_REQUEST"


async def test_a_code_that_nobody_was_given_is_rejected(desk, code):
    wrong = type(code.secret)(b"x" * 32)
    request = EnrollmentRequest(wrong, make_csr(make_key())).to_json()
    assert reason((await visit(desk, request))[1]) == "CODE_REJECTED"


async def test_guessing_is_slowed_down_for_each_address(desk, code):
    for _ in range(BURST):
        await visit(desk, b"guess")
    good = EnrollmentRequest(code.secret, make_csr(make_key())).to_json()

    assert reason((await visit(desk, good))[1]) == "RATE_LIMITED"
    assert EnrollmentGrant.from_json((await visit(desk, good, peer="10.0.0.2"))[1])


async def test_fetching_the_ca_does_not_count_as_a_try(desk, code):
    for _ in range(3 * BURST):
        await visit(desk, None)
    good = EnrollmentRequest(code.secret, make_csr(make_key())).to_json()
    assert EnrollmentGrant.from_json((await visit(desk, good))[1])


async def test_a_gateway_that_cannot_sign_says_internal_and_keeps_the_code_good(desk, store, authority, code, tmp_path):
    key_file = tmp_path / "state" / "ca" / "ca.key"
    content = key_file.read_bytes()
    key_file.unlink()
    request = EnrollmentRequest(code.secret, make_csr(make_key())).to_json()
    assert reason((await visit(desk, request))[1]) == "INTERNAL"
    key_file.write_bytes(content)
    key_file.chmod(0o600)
    assert EnrollmentGrant.from_json((await visit(desk, request))[1])
