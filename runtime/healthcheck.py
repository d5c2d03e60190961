"""Asks a running program whether it lives, for container runtimes: one request to its /healthz, with a deadline.

Light on purpose: it runs every half minute beside the program. Knows only the admin address.
"""

import http.client
from typing import Final

from runtime.address import Address
from runtime.exits import UNAVAILABLE, CommandFailed

HEALTH_SECONDS: Final = 5.0
# A listener on every address is asked on loopback.
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def ask_health(admin: Address) -> None:
    """Return when the program on this admin address says that it lives; raises `CommandFailed` (69) otherwise."""
    host = _ANY.get(admin.host, admin.host)
    connection = http.client.HTTPConnection(host, admin.port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise CommandFailed(f"nothing healthy on {admin} ({reason}); see the program's log", UNAVAILABLE) from None
    finally:
        connection.close()
    if status != http.client.OK:
        raise CommandFailed(f"{admin} answered {status} to /healthz; see the program's log", UNAVAILABLE)
