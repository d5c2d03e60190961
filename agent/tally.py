"""What the agent counts about requests: plain integers, one owner, read by status and metrics."""

from collections import Counter

from runtime.histogram import Histogram
from tunnel.errors import ErrorCode

ANSWERED = "answered"
RATE_LIMITED = "rate_limited"


class Tally:
    """Outcomes of streams since the start: ``answered``, or the lower-case name of the reset's code."""

    __slots__ = ("jira", "outcomes", "queue")

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.queue = Histogram()  # seconds until a request had its place towards Jira
        self.jira = Histogram()  # seconds from its last byte to the head of Jira's answer

    def answered(self) -> None:
        """Count an exchange that Jira answered to its end."""
        self.outcomes[ANSWERED] += 1

    def rate_limited(self) -> None:
        """Count a request that was told Jira's rate limit without going there."""
        self.outcomes[RATE_LIMITED] += 1

    def reset(self, code: ErrorCode) -> None:
        """Count an exchange that ended with `code`, from either side."""
        self.outcomes[code.name.lower()] += 1

    @property
    def denials(self) -> int:
        """Requests that the policy refused."""
        return self.outcomes[ErrorCode.POLICY_DENIED.name.lower()]


class WebhookTally:
    """What became of webhooks since the start: ``received`` were acknowledged, ``refused`` were not, by reason.

    ``carried`` are durable at a gateway; ``dropped`` are what no gateway will ever take, by reason.
    """

    __slots__ = ("carried", "dropped", "received", "refused")

    def __init__(self) -> None:
        self.received = 0
        self.carried = 0
        self.refused: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
