"""One client connection from its first byte to its last: record, apply the wanted fault, answer, keep alive."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.support.fake_jira import misbehaviour as faults
from tests.support.fake_jira.answering import answer_of, situation
from tests.support.fake_jira.exchange import HTML_TYPE, JSON_TYPE, Answer, Distortion, Request
from tests.support.fake_jira.recording import RecordedRequest
from tests.support.fake_jira.tomcat import BadRequest, map_target, parse_head
from tests.support.fake_jira.wire import Disconnected, HeadTooLarge, WireConnection

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira


async def serve(jira: "FakeJira", connection: WireConnection) -> None:
    try:
        while await _serve_one(jira, connection):
            pass
    except Disconnected:
        pass
    finally:
        jira.open.discard(connection)
        connection.close()


async def _serve_one(jira: "FakeJira", connection: WireConnection) -> bool:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(jira.idle_timeout):
            raw = await connection.read_head(jira.head_limit)
    except TimeoutError:
        return False
    except HeadTooLarge as error:
        record = RecordedRequest(connection.id, connection.peer, error.received, loop.time(), status=400)
        jira.requests.append(record)
        answer = situation(jira, "header-too-large")
        await connection.write(_bare(answer))
        return False
    if raw is None:
        return False
    record = RecordedRequest(connection.id, connection.peer, raw, loop.time(), hash_body=jira.hash_bodies)
    if jira.recording:
        jira.requests.append(record)
    jira.in_progress.add(record)
    connection.on_gone = _canceller(asyncio.current_task())
    try:
        return await _exchange(jira, connection, record)
    except (Disconnected, asyncio.CancelledError):
        if connection.gone and not connection.closed_here and not record.answered:
            record.aborted = True
            record.aborted_at = loop.time()
        raise
    finally:
        connection.on_gone = _ignore
        record.ended_at = loop.time()
        jira.in_progress.discard(record)


async def _exchange(jira: "FakeJira", connection: WireConnection, record: RecordedRequest) -> bool:
    try:
        head = parse_head(record.raw_head)
        record.method, record.target, record.headers = head.method, head.target, head.headers
        path, query = map_target(head.target)
    except BadRequest as error:
        record.status = error.status
        answer = Answer.text(f"<!doctype html><h1>HTTP Status {error.status}</h1><p>{error.reason}</p>", error.status)
        await connection.write(_bare(answer))
        record.answered = True
        return False
    request = Request(connection, head, record)
    request.raw_query = query
    fault = faults.choose(jira.rules, record, _raw_path(jira, head.target))
    if not await _act(request, fault):
        return False
    distortion = _distortion_of(fault)
    answer = _fault_answer(jira, fault) or await _answer_or_crash(jira, request, path)
    keep_alive = await request.send(answer, distortion)
    keep_alive = keep_alive and await request.swallow()
    record.answered = distortion is None or distortion.cut_after is None
    return keep_alive


async def _answer_or_crash(jira: "FakeJira", request: Request, path: str) -> Answer:
    """A bug of the stand-in (or a request that it did not expect) is a 500 that tests can see in `crashes`."""
    try:
        return await answer_of(jira, request, path)
    except (Disconnected, asyncio.CancelledError):
        raise
    except Exception as error:
        jira.crashes.append(error)
        return Answer.text(f"{type(error).__name__}: {error}", 500)


def _raw_path(jira: "FakeJira", target: bytes) -> str:
    path = target.partition(b"?")[0].decode("latin-1")
    return path.removeprefix(jira.context)


async def _act(request: Request, fault: faults.Fault | None) -> bool:
    """What a fault does before there is an answer; whether there will be one."""
    connection = request.connection
    match fault:
        case faults.CloseAfterRequestHead(reset):
            _hang_up(connection, reset=reset)
            return False
        case faults.CloseBeforeAnswer(reset):
            await request.swallow_all()
            _hang_up(connection, reset=reset)
            return False
        case faults.Hang():
            await request.swallow_all()
            await asyncio.Event().wait()
        case faults.Slow(seconds):
            await request.preload()
            await asyncio.sleep(seconds)
        case faults.StallRead(after, seconds):
            await request.preload(after)
            await asyncio.sleep(seconds)
        case faults.RawAnswer(data, close, read_body):
            if read_body:
                await request.swallow_all()
            await connection.write(data)
            if not close:
                await asyncio.Event().wait()
            return False
        case faults.Status(read_body=True) | faults.Canned():
            await request.swallow_all()
        case _:
            pass
    return True


def _distortion_of(fault: faults.Fault | None) -> Distortion | None:
    """What a fault does to the body of the answer."""
    match fault:
        case faults.CutMidBody(after, reset):
            return Distortion(cut_after=after, reset=reset)
        case faults.StallBody(after):
            return Distortion(stall_after=after)
        case faults.DripBody(step, pause):
            return Distortion(drip=(step, pause))
        case faults.LieAboutLength(declared):
            return Distortion(declared_length=declared)
        case _:
            return None


def _fault_answer(jira: "FakeJira", fault: faults.Fault | None) -> Answer | None:
    """The answer that a fault gives instead of Jira."""
    if isinstance(fault, faults.Canned):
        return situation(jira, fault.name)
    if not isinstance(fault, faults.Status):
        return None
    headers = list(fault.headers)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", JSON_TYPE if fault.body.startswith(("{", "[")) else HTML_TYPE))
    body = fault.body.encode()
    return Answer(fault.status, headers, body, len(body), close=not fault.read_body)


def _hang_up(connection: WireConnection, *, reset: bool) -> None:
    if reset:
        connection.reset()
    else:
        connection.close()


def _canceller(task: "asyncio.Task[Any] | None") -> Callable[[], None]:
    def cancel() -> None:
        if task is not None:
            task.cancel()

    return cancel


def _ignore() -> None:
    """Nobody is being served: the next read sees that the client is gone."""


def _bare(answer: Answer) -> bytes:
    """An answer of Tomcat itself, which then closes."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    head = f"HTTP/1.1 {answer.status} \r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("latin-1") + body
