"""The PyPI client atlassian-python-api."""

import hashlib

from atlassian import Jira
from requests import HTTPError

from tests.e2e.clients.errand import Errand, Report


def run(errand: Errand) -> Report:
    """Do it all with the client's own methods."""
    login = {"username": "any", "password": errand.token} if errand.login == "basic" else {"token": errand.token}
    jira = Jira(url=errand.url, cloud=errand.is_cloud, **login)
    identity = "accountId" if errand.is_cloud else "name"
    report: Report = {"me": jira.myself()[identity], "projects": [project["key"] for project in jira.projects()]}

    fields = {"project": {"key": "OPS"}, "summary": errand.summary, "issuetype": {"name": "Task"}}
    made = jira.issue_create(fields=fields)
    key = made["key"]
    report |= {"key": key, "self": made["self"]}
    jira.update_issue_field(key, {"summary": errand.edited})
    jira.assign_issue(key, errand.assignee)
    jira.issue_add_comment(key, errand.remark)
    report["before"] = jira.get_issue_status(key)
    jira.set_issue_status(key, jira.get_issue_transitions(key)[0]["to"])
    ends = {"inwardIssue": {"key": key}, "outwardIssue": {"key": errand.neighbour}}
    jira.create_issue_link({"type": {"name": "Blocks"}, **ends})
    jira.issue_add_watcher(key, errand.me)
    jira.add_attachment(key, errand.file)

    issue = jira.issue(key)["fields"]
    [comment], [attachment] = issue["comment"]["comments"], issue["attachment"]
    report |= {
        "summary": issue["summary"],
        "assignee": issue["assignee"][identity],
        "after": issue["status"]["name"],
        "comment": {"body": comment["body"], "self": comment["self"]},
        "linked": [link["outwardIssue"]["key"] for link in issue["issuelinks"]],
        "watchers": [watcher[identity] for watcher in jira.issue_get_watchers(key)["watchers"]],
        "found": [issue["key"] for issue in jira.jql_get_list_of_tickets(errand.jql, fields="summary")],
        "content": attachment["content"],
        "sha256": hashlib.sha256(jira.get_attachment_content(attachment["id"])).hexdigest(),
    }

    jira.remove_attachment(attachment["id"])
    report["left"] = len(jira.issue(key)["fields"]["attachment"])
    jira.delete_issue(key)
    try:
        jira.issue(key)
    except HTTPError as error:
        report["gone"] = error.response.status_code == 404
    return report
