"""What differs between the Jira versions that the stand-in can be (fixtures/version-profiles.json)."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent / "fixtures"
FIXTURE_SERVER = "https://jira.corp.example/jira"
FIXTURE_CLOUD = "https://corpexample.atlassian.net"
ON_PREMISE = ("7.13", "8.5", "8.20", "9.12", "10.3")


def fixture(name: str, base_url: str) -> Any:
    """A fixture file with its links moved to this base URL."""
    text = _fixture_text(name)
    return json.loads(text.replace(FIXTURE_SERVER, base_url).replace(FIXTURE_CLOUD, base_url))


@functools.cache
def _fixture_text(name: str) -> str:
    return (FIXTURES / f"{name}.json").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Profile:
    """The switches of one version."""

    name: str
    version: str
    version_numbers: tuple[int, ...]
    build_number: int
    is_cloud: bool
    createmeta_legacy: bool
    createmeta_paged: bool
    pat: bool
    webhook_path: str
    webhook_signature: bool
    webhook_appends_user: bool
    user_key_style: str
    invisible_issue_status: int
    cluster_node: str | None

    @property
    def major(self) -> int:
        """7, 8, 9, 10; 1001 on Cloud."""
        return self.version_numbers[0]

    @property
    def new_webhooks(self) -> bool:
        """Whether webhooks live at /rest/jira-webhook/1.0 (10 and later, not Cloud)."""
        return self.webhook_path.startswith("/rest/jira-webhook")


def load_profile(name: str) -> Profile:
    """Raises KeyError for a version that has no profile."""
    data = fixture("version-profiles", "")[name]
    return Profile(
        name=name,
        version=data["version"],
        version_numbers=tuple(data["versionNumbers"]),
        build_number=data["buildNumber"],
        is_cloud=data["deploymentType"] == "Cloud",
        createmeta_legacy=data["createmetaLegacy"],
        createmeta_paged=data["createmetaPaged"],
        pat=data["pat"],
        webhook_path=data["webhookApi"],
        webhook_signature=data["webhookSignature"],
        webhook_appends_user=bool(data["webhookAppendsUserQuery"]),
        user_key_style=data["userKeyStyle"],
        invisible_issue_status=data["invisibleIssueStatus"],
        cluster_node=None if data["deploymentType"] == "Cloud" or data["versionNumbers"][0] == 7 else "node1",
    )


SERVER_INFO_FIXTURES = {7: "serverinfo-7", 8: "serverinfo-8", 9: "serverinfo-9", 10: "serverinfo-10"}


def server_info(profile: Profile, base_url: str, now: str) -> dict[str, Any]:
    """The answer of /serverInfo."""
    name = "serverinfo-cloud" if profile.is_cloud else SERVER_INFO_FIXTURES[profile.major]
    info: dict[str, Any] = fixture(name, base_url)
    info.update(
        baseUrl=base_url,
        version=profile.version,
        versionNumbers=list(profile.version_numbers),
        buildNumber=profile.build_number,
        serverTime=now,
    )
    return info
