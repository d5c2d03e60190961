"""Keeps schemathesis from sawing off the branch it sits on: it may not rotate or revoke its own token.

It finds the names of tokens in the answers it gets, and would go on with a token that is refused everywhere. Nor may it
sit there for minutes: a long poll that is asked to wait waits.
"""

import schemathesis

OWN_TOKEN = "schemathesis-admin"
LONGEST_WAIT = 60


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Aim at another token, and wait a second at most where that is allowed at all."""
    wait = str((case.query or {}).get("wait", ""))
    if wait.isascii() and wait.isdigit() and 1 < int(wait) <= LONGEST_WAIT:
        case.query["wait"] = "1" if isinstance(case.query["wait"], str) else 1
    if case.path_parameters.get("name") == OWN_TOKEN:
        case.path_parameters["name"] = "somebody-else"
