"""`python -m tests.support.fake_jira`: the stand-in as a process of its own.

Prints one line of JSON with its addresses when it is ready; SIGTERM or SIGINT ends it.
"""

import argparse
import asyncio
import json
import os
import signal

from tests.support.fake_jira.control import ControlPort
from tests.support.fake_jira.server import FakeJira
from tests.support.fake_jira.tls import server_context


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.support.fake_jira", description=__doc__)
    parser.add_argument("--profile", default="9.12", help="7.13, 8.5, 8.20, 9.12, 10.3 or cloud")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--context", default="", help="context path such as /jira")
    parser.add_argument("--base-url", help="what Jira believes its address to be")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--idle-timeout", type=float, default=20.0, help="seconds until an idle connection is closed")
    parser.add_argument("--issues", type=int, default=60, help="how many issues OPS starts with")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    jira = FakeJira(
        arguments.profile,
        context=arguments.context,
        base_url=arguments.base_url,
        tls=server_context(*arguments.tls) if arguments.tls else None,
        host=arguments.host,
        port=arguments.port,
        idle_timeout=arguments.idle_timeout,
        issues=arguments.issues,
    )
    control = ControlPort(jira)

    def announce() -> None:
        ready = {
            "url": jira.url,
            "base_url": jira.base_url,
            "port": jira.port,
            "control": control.port,
            "pid": os.getpid(),
        }
        print(json.dumps(ready), flush=True)

    async with jira, asyncio.TaskGroup() as group:
        serving = group.create_task(control.run(announce))
        await stop.wait()
        serving.cancel()


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))
