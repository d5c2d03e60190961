"""`python -m tests.support.jammed_agent FILE run`: an agent whose dispatch does nothing while FILE exists.

Everything else of it is real and goes on: it reads frames, answers PING, dials, and says that it is ready.
"""

import sys
from pathlib import Path

from agent.__main__ import main
from agent.carrier import _REFUSED, Carrier
from tunnel.heads import RequestHead
from tunnel.streams import Stream, StreamReceiver


def jam(file: Path) -> None:
    """Put the fault in."""
    accept = Carrier.accept

    def jammed(self: Carrier, stream: Stream, head: RequestHead) -> StreamReceiver:
        return _REFUSED if file.exists() else accept(self, stream, head)

    Carrier.accept = jammed  # type: ignore[method-assign]


if __name__ == "__main__":
    jam(Path(sys.argv.pop(1)))
    main()
