"""`python -m bench.path`: microseconds of a request in each program, without sockets, TLS and websockets.

The whole way of a GET with an answer of 4 KiB, as all callers send it in one turn of the loop: from the caller's bytes
to Jira's and back, policy, link rewriting, accounting, access log and audit log included. The least of many rounds
counts: what is above it is what else the machine does. For comparing two states of this code, not for the outside.
"""

import argparse
import gc
import tempfile
from pathlib import Path

import uvloop

from tests.support.sockets_apart import TOKEN, Way

REQUEST = (
    b"GET /jira/hq/rest/api/2/issue/OPS-42 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer "
    + TOKEN
    + b"\r\n\r\n"
)
BODY = (b'{"id":"10942","key":"OPS-42","text":"' + b"x" * 4096)[:4094] + b'"}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Thu, 26 Nov 2026 23:26:03 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 4096\r\nConnection: keep-alive\r\n"
    b'ETag: "67465b1b-1000"\r\nAccept-Ranges: bytes\r\n\r\n'
) + BODY


async def measure(folder: Path, callers: int, rounds: int) -> dict[str, float]:
    """Return the least microseconds per request of each side."""
    way = Way(folder, callers)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # as runtime/loop.py has it
    least = {"gateway": float("inf"), "agent": float("inf")}
    for _ in range(rounds):
        before = dict(way.seconds)
        answers = await way.carry(REQUEST, ANSWER)
        assert all(b" 200 OK\r\n" in answer and answer.endswith(b"0\r\n\r\n") for answer in answers)
        for side, seconds in way.seconds.items():
            least[side] = min(least[side], (seconds - before[side]) / callers * 1e6)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.path", description=__doc__)
    parser.add_argument("--callers", type=int, default=128, help="requests in one turn of the loop (128)")
    parser.add_argument("--rounds", type=int, default=150, help="(150)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jira-tunnel-path-") as folder:
        least = uvloop.run(measure(Path(folder), options.callers, options.rounds))
    print(f"gateway {least['gateway']:.1f} + agent {least['agent']:.1f} = {sum(least.values()):.1f} µs per request")


if __name__ == "__main__":
    main()
