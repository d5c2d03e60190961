"""What the stand-in for Jira answers and takes: paths, sizes, and a search answer with links as Jira writes them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SMALL_BYTES = 4096
SEARCH_BYTES = 120 * 1024
BULK_BYTES = 256 * 1024 * 1024

SMALL = "/rest/api/2/issue/OPS-42"
SEARCH = "/rest/api/2/search"
BULK = "/secure/attachment/11300/bulk.bin"
UPLOAD = "/rest/api/2/issue/OPS-42/attachments"


def small() -> bytes:
    """Return an issue of 4 KiB."""
    return (b'{"id":"10942","key":"OPS-42","text":"' + b"x" * SMALL_BYTES)[: SMALL_BYTES - 2] + b'"}'


def search(base: str) -> bytes:
    """Return a search answer of 120 KiB, compact as Jira writes it, for this base URL (no slash at its end)."""
    issues: list[str] = []
    size = 0
    for number in _numbers():
        issue = json.dumps(_issue(base, number), separators=(",", ":"))
        if size + len(issue) > SEARCH_BYTES - 200:
            break
        issues.append(issue)
        size += len(issue) + 1
    head = f'{{"expand":"names,schema","startAt":0,"maxResults":{len(issues)},"total":5120,"issues":['
    body = head + ",".join(issues) + "]}"
    return body.ljust(SEARCH_BYTES).encode()


def zeros(path: Path, size: int) -> Path:
    """Make a file of zeros, and read it once: the first reading of a sparse file is five times slower than the next."""
    path.touch()
    os.truncate(path, size)
    with path.open("rb", buffering=0) as file:
        while file.read(1024 * 1024):
            pass
    return path


def _numbers() -> Iterator[int]:
    number = 10_000
    while True:
        yield number
        number += 1


def _issue(base: str, number: int) -> dict[str, Any]:
    """Return the navigable fields of an issue, with the links of Jira 8's (27 in all)."""
    api, issue = f"{base}/rest/api/2", f"{base}/rest/api/2/issue/OPS-{number}"
    return {
        "expand": "operations,versionedRepresentations,editmeta,changelog,renderedFields",
        "id": str(number),
        "self": f"{api}/issue/{number}",
        "key": f"OPS-{number}",
        "fields": {
            "summary": "Replace the valve in hall 3",
            "description": "Pressure drops after ten minutes, see https://wiki.corp.example/display/OPS/Valves. " * 4,
            "issuetype": _named(base, "issuetype", 10001, "Task", icon="secure/viewavatar?size=xsmall&avatarId=10301"),
            "project": {
                "self": f"{api}/project/10100",
                "id": "10100",
                "key": "OPS",
                "name": "Operations",
                "avatarUrls": _avatars(f"{base}/secure/projectavatar?pid=10100&avatarId=10324"),
            },
            "priority": _named(base, "priority", 2, "High", icon="images/icons/priorities/high.svg"),
            "status": _named(base, "status", 10010, "In Progress", icon="images/icons/statuses/generic.png"),
            "assignee": _user(base, "omar.haddad"),
            "reporter": _user(base, "ines.ferro"),
            "components": [{"self": f"{api}/component/10300", "id": "10300", "name": "Network"}],
            "labels": ["plant", "bridge"],
            "watches": {"self": f"{issue}/watchers", "watchCount": 2, "isWatching": False},
            "votes": {"self": f"{issue}/votes", "votes": 0, "hasVoted": False},
            "customfield_10004": 3.0,
            "created": "2026-03-03T09:14:07.312+0100",
            "updated": "2026-03-04T16:20:11.907+0100",
            "resolution": None,
            "fixVersions": [],
        },
    }


def _named(base: str, kind: str, number: int, name: str, *, icon: str) -> dict[str, Any]:
    return {
        "self": f"{base}/rest/api/2/{kind}/{number}",
        "id": str(number),
        "name": name,
        "iconUrl": f"{base}/{icon}",
    }


def _user(base: str, name: str) -> dict[str, Any]:
    return {
        "self": f"{base}/rest/api/2/user?username={name}",
        "name": name,
        "key": name,
        "emailAddress": f"{name}@corp.example",
        "avatarUrls": _avatars(f"{base}/secure/useravatar?ownerId={name}&avatarId=10341"),
        "displayName": name.replace(".", " ").title(),
        "active": True,
        "timeZone": "Europe/Berlin",
    }


def _avatars(url: str) -> dict[str, str]:
    sizes = {"48x48": "", "24x24": "&size=small", "16x16": "&size=xsmall", "32x32": "&size=medium"}
    return {name: url + size for name, size in sizes.items()}
