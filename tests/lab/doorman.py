"""A firewall that admits one address, in front of a Jira; and an echo service that says who asked.

python -m tests.lab.doorman LISTEN PORT JIRA_PORT ADMITTED LOG    relays what ADMITTED sends, closes on the others
python -m tests.lab.doorman LISTEN PORT echo                      answers every request with the peer's address
"""

import asyncio
import sys
from pathlib import Path


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main(listen: str, port: int, target: str, admitted: str = "", log: str = "") -> None:
    """Serve until the process is ended."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[0]
        with Path(log).open("a") as file:
            file.write(peer + "\n")
        if peer != admitted:
            writer.transport.abort()
            return
        jira_reader, jira_writer = await asyncio.open_connection("127.0.0.1", int(target))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pump(reader, jira_writer))
            tasks.create_task(_pump(jira_reader, writer))

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = writer.get_extra_info("peername")[0].encode() + b"\n"
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo if target == "echo" else relay, listen, port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
