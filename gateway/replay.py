"""The promise about retries (docs/contract.md §4) as one pure function.

A request that provably did not reach Jira may go again by any method while its body is still kept; one that
may have reached Jira goes again only if it cannot write, no byte of an answer was seen, and only once.
"""

from tunnel.errors import ErrorCode, Progress

SAFE_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS"))
MAX_KEPT_BODY_BYTES = 1024 * 1024
MAX_ATTEMPTS = 4

# Another link, or another agent of the same name, may do better.
_ELSEWHERE = frozenset(
    (
        ErrorCode.LINK_LOST,
        ErrorCode.DRAINING,
        ErrorCode.OVERLOADED,
        ErrorCode.PAUSED,
        ErrorCode.JIRA_UNREACHABLE,
        ErrorCode.JIRA_UNAVAILABLE,
    )
)
_CUT = frozenset((ErrorCode.LINK_LOST, ErrorCode.JIRA_PROTOCOL))


def may_replay(
    method: bytes, code: ErrorCode, progress: Progress, *, body_kept: bool, attempts: int, resent: bool
) -> bool:
    """Decide whether a reset request goes to another link.

    `attempts` counts the times it was handed to a link, `resent` says whether it already went again after it
    may have reached Jira. The stream must not have seen the head of an answer.
    """
    if not body_kept or attempts >= MAX_ATTEMPTS:
        return False
    if progress is Progress.NOT_SENT:
        return code in _ELSEWHERE
    return method in SAFE_METHODS and code in _CUT and progress is Progress.SENT and not resent
