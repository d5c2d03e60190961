"""curl: one process per request, logged in through a configuration on standard input."""

import hashlib
import json
import subprocess
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.clients.errand import Errand, Report


class Curl:
    """curl with one login."""

    def __init__(self, errand: Errand) -> None:
        bearer = f'header = "Authorization: Bearer {errand.token}"'
        self._login = bearer if errand.login == "bearer" else f'user = "any:{errand.token}"'
        address = urlsplit(errand.url)
        self._base = f"{errand.url}/rest/api/2/"
        self._resolve = ["--resolve", f"{address.hostname}:{address.port}:127.0.0.1"]

    def fetch(self, url: str, *arguments: str) -> bytes:
        """One request that has to succeed; its body."""
        command = ["curl", "-sS", "--fail-with-body", "-K", "-", *self._resolve, *arguments, url]
        done = subprocess.run(command, input=self._login.encode(), capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode(errors="replace")
        return done.stdout

    def status(self, path: str) -> int:
        """The status of a request."""
        command = ["curl", "-sS", "-K", "-", *self._resolve, "-o", "/dev/null", "-w", "%{http_code}", self._base + path]
        done = subprocess.run(command, input=self._login.encode(), capture_output=True, timeout=60, check=True)
        return int(done.stdout)

    def call(self, path: str, *arguments: str) -> Any:
        """One request of the REST API; its JSON, None when there is none."""
        body = self.fetch(self._base + path, *arguments)
        return json.loads(body) if body else None

    def send(self, method: str, path: str, value: object) -> Any:
        """One request with JSON."""
        return self.call(path, "-X", method, "-H", "Content-Type: application/json", "-d", json.dumps(value))

    def search(self, errand: Errand) -> list[str]:
        """The keys of all pages: by number on-premise, by token on Cloud."""
        keys: list[str] = []
        query = ["-G", "--data-urlencode", f"jql={errand.jql}", "-d", f"maxResults={errand.page}", "-d", "fields=key"]
        page: dict[str, Any] = {}
        while not keys or page.get("nextPageToken") or len(keys) < page.get("total", 0):
            if errand.is_cloud:
                token = page.get("nextPageToken")
                page = self.call("search/jql", *query, *(["-d", f"nextPageToken={token}"] if token else []))
            else:
                page = self.call("search", *query, "-d", f"startAt={len(keys)}")
            keys += [issue["key"] for issue in page["issues"]]
        return keys


def run(errand: Errand) -> Report:
    """Do it all with curl."""
    curl = Curl(errand)
    identity = "accountId" if errand.is_cloud else "name"
    report: Report = {"me": curl.call("myself")[identity], "projects": [row["key"] for row in curl.call("project")]}

    fields = {"project": {"key": "OPS"}, "summary": errand.summary, "issuetype": {"name": "Task"}}
    made = curl.send("POST", "issue", {"fields": fields})
    report |= {"key": made["key"], "self": made["self"]}
    issue = f"issue/{made['key']}"
    curl.send("PUT", issue, {"fields": {"summary": errand.edited}})
    curl.send("PUT", f"{issue}/assignee", {identity: errand.assignee})
    curl.send("POST", f"{issue}/comment", {"body": errand.remark})
    report["before"] = curl.call(issue)["fields"]["status"]["name"]
    [first, *_] = curl.call(f"{issue}/transitions")["transitions"]
    curl.send("POST", f"{issue}/transitions", {"transition": {"id": first["id"]}})
    ends = {"inwardIssue": {"key": made["key"]}, "outwardIssue": {"key": errand.neighbour}}
    curl.send("POST", "issueLink", {"type": {"name": "Blocks"}, **ends})
    curl.send("POST", f"{issue}/watchers", errand.me)
    curl.call(f"{issue}/attachments", "-H", "X-Atlassian-Token: no-check", "-F", f"file=@{errand.file}")

    fresh = curl.call(issue)["fields"]
    [comment], [attachment] = fresh["comment"]["comments"], fresh["attachment"]
    report |= {
        "summary": fresh["summary"],
        "assignee": fresh["assignee"][identity],
        "after": fresh["status"]["name"],
        "comment": {"body": comment["body"], "self": comment["self"]},
        "linked": [link["outwardIssue"]["key"] for link in fresh["issuelinks"]],
        "watchers": [watcher[identity] for watcher in curl.call(f"{issue}/watchers")["watchers"]],
        "found": curl.search(errand),
        "content": attachment["content"],
        "sha256": hashlib.sha256(curl.fetch(attachment["content"], "-L")).hexdigest(),
    }

    curl.call(f"attachment/{attachment['id']}", "-X", "DELETE")
    report["left"] = len(curl.call(issue)["fields"]["attachment"])
    curl.call(issue, "-X", "DELETE")
    report["gone"] = curl.status(issue) == 404
    return report
