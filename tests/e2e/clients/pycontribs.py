"""The PyPI client jira."""

import hashlib

from jira import JIRA
from jira.exceptions import JIRAError

from tests.e2e.clients.errand import Errand, Report


def run(errand: Errand) -> Report:
    """Do it all with the client's own methods."""
    login = {"basic_auth": ("any", errand.token)} if errand.login == "basic" else {"token_auth": errand.token}
    jira = JIRA(server=errand.url, max_retries=0, timeout=20, **login)
    identity = "accountId" if errand.is_cloud else "name"
    report: Report = {"me": jira.myself()[identity], "projects": [project.key for project in jira.projects()]}

    issue = jira.create_issue(project="OPS", summary=errand.summary, issuetype={"name": "Task"})
    report |= {"key": issue.key, "self": issue.self, "before": issue.fields.status.name}
    issue.update(summary=errand.edited)
    jira.assign_issue(issue, errand.assignee_name)
    jira.add_comment(issue, errand.remark)
    jira.transition_issue(issue, jira.transitions(issue)[0]["id"])
    jira.create_issue_link("Blocks", issue.key, errand.neighbour)
    jira.add_watcher(issue.key, "svc.bridge")
    with errand.path.open("rb") as file:
        jira.add_attachment(issue, file)

    fields = jira.issue(issue.key).fields
    [comment], [attachment] = jira.comments(issue), fields.attachment
    report |= {
        "summary": fields.summary,
        "assignee": getattr(fields.assignee, identity),
        "after": fields.status.name,
        "comment": {"body": comment.body, "self": comment.self},
        "linked": [link.outwardIssue.key for link in fields.issuelinks],
        "watchers": [getattr(watcher, identity) for watcher in jira.watchers(issue).watchers],
        "found": [found.key for found in jira.search_issues(errand.jql, maxResults=False, fields="summary")],
        "content": attachment.content,
        "sha256": hashlib.sha256(attachment.get()).hexdigest(),
    }

    jira.delete_attachment(attachment.id)
    report["left"] = len(jira.issue(issue.key).fields.attachment)
    issue.delete()
    try:
        jira.issue(issue.key)
    except JIRAError as error:
        report["gone"] = error.status_code == 404
    return report
