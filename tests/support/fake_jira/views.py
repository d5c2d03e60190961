"""How records look as JSON: the shapes and absolute links of Jira's REST API (fixtures/, docs/facts.md J1 to J5)."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import quote, quote_plus
from zoneinfo import ZoneInfo

from tests.support.fake_jira.people import User
from tests.support.fake_jira.profiles import Profile
from tests.support.fake_jira.store import (
    ISSUE_TYPES,
    LINK_TYPES,
    PRIORITIES,
    SECURITY_LEVELS,
    STATUSES,
    TRANSITIONS,
    Attachment,
    Change,
    Comment,
    Issue,
    Link,
    Project,
    Store,
    Worklog,
)

SIZES = {"48x48": "", "24x24": "size=small&", "16x16": "size=xsmall&", "32x32": "size=medium&"}
STATUS_COLOURS = {"new": "blue-gray", "indeterminate": "yellow", "done": "green"}


INLINE_LIMIT = 20  # worklogs inside an issue; on Cloud also comments


def stamp(moment: datetime, zone: tzinfo | None = None) -> str:
    """Jira's date form: milliseconds, offset without a colon."""
    moment = moment.astimezone(zone) if zone else moment
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}" + moment.strftime("%z")


def milliseconds(moment: datetime) -> int:
    """Since 1970, cut to whole ones as `stamp` does."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def parse_stamp(text: str) -> datetime:
    """The moment that Jira's date form means. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")


class Views:
    """JSON of records on one configured base URL. Moments are shown in Jira's own `zone`."""

    def __init__(self, profile: Profile, base_url: str, store: Store) -> None:
        self.profile = profile
        self.base_url = base_url
        self.store = store
        self.zone = ZoneInfo("Europe/Madrid")
        self._users: dict[tuple[object, ...], dict[str, Any]] = {}

    def stamp(self, moment: datetime) -> str:
        """In Jira's zone."""
        return stamp(moment, self.zone)

    def rest(self, path: str) -> str:
        """An absolute link into the REST API."""
        return f"{self.base_url}/rest/api/2/{path}"

    def user_key(self, user: User) -> str:
        """The login name on 7.x, JIRAUSERn later."""
        return user.name if self.profile.user_key_style == "name" else f"JIRAUSER{user.number}"

    def user_id(self, user: User) -> str:
        """What changelogs name a user by: the key, the account id on Cloud."""
        return user.account_id if self.profile.is_cloud else self.user_key(user)

    def user(self, user: User | None) -> dict[str, Any] | None:
        """A user as it appears inside other records."""
        if user is None:
            return None
        state = (user.name, user.display_name, user.active, user.time_zone, self.base_url)
        if state not in self._users:
            self._users[state] = self._user(user)
        return self._users[state]

    def _user(self, user: User) -> dict[str, Any]:
        avatars = {size: f"{self.base_url}/secure/useravatar?{query}avatarId=10340" for size, query in SIZES.items()}
        common = {"avatarUrls": avatars, "displayName": user.display_name, "active": user.active}
        if self.profile.is_cloud:
            link = self.rest(f"user?accountId={user.account_id}")
            identity = {"self": link, "accountId": user.account_id, "accountType": "atlassian"}
        else:
            link = self.rest(f"user?username={quote_plus(user.name)}")
            identity = {"self": link, "name": user.name, "key": self.user_key(user)}
        return {**identity, "emailAddress": user.email, **common, "timeZone": user.time_zone}

    def myself(self, user: User, expand: str) -> dict[str, Any]:
        """/myself."""
        groups = [
            {"name": name, "self": self.rest(f"group?groupname={quote_plus(name)}")} for name in sorted(user.groups)
        ]
        roles = [{"key": "jira-software", "name": "Jira Software"}]
        return {
            **(self.user(user) or {}),
            "locale": "en_US",
            "groups": {"size": len(groups), "items": groups if "groups" in expand else []},
            "applicationRoles": {"size": 1, "items": roles if "applicationRoles" in expand else []},
            "expand": "groups,applicationRoles",
        }

    def project(self, project: Project, *, full: bool = False) -> dict[str, Any]:
        """A project as in lists; `full` as on its own."""
        avatars = {
            size: f"{self.base_url}/secure/projectavatar?{query}pid={project.id}&avatarId=10324"
            for size, query in SIZES.items()
        }
        view: dict[str, Any] = {
            "expand": "description,lead,url,projectKeys",
            "self": self.rest(f"project/{project.id}"),
            "id": str(project.id),
            "key": project.key,
            "name": project.name,
            "avatarUrls": avatars,
            "projectTypeKey": "software",
        }
        if full:
            view.update(
                description="",
                lead=self.user(project.lead),
                components=[],
                versions=[],
                issueTypes=[self.issue_type(number) for number in ISSUE_TYPES],
                assigneeType="UNASSIGNED",
                roles=self.roles(project),
            )
        return view

    def roles(self, project: Project) -> dict[str, str]:
        """Role name -> link."""
        names = {"Administrators": 10002, "Developers": 10001, "QA": 10110}
        return {name: self.rest(f"project/{project.id}/role/{number}") for name, number in names.items()}

    def issue_type(self, number: str) -> dict[str, Any]:
        """One issue type."""
        icon = f"{self.base_url}/secure/viewavatar?size=xsmall&avatarId=10301&avatarType=issuetype"
        name = ISSUE_TYPES[number]
        link = self.rest(f"issuetype/{number}")
        return {"self": link, "id": number, "description": "", "iconUrl": icon, "name": name,
                "subtask": name == "Sub-task", "avatarId": 10301}  # fmt: skip

    def status(self, number: str) -> dict[str, Any]:
        """A workflow status with its category."""
        name, category, category_id = STATUSES[number]
        return {
            "self": self.rest(f"status/{number}"),
            "description": "",
            "iconUrl": f"{self.base_url}/images/icons/statuses/generic.png",
            "name": name,
            "id": number,
            "statusCategory": {
                "self": self.rest(f"statuscategory/{category_id}"),
                "id": category_id,
                "key": category,
                "colorName": STATUS_COLOURS[category],
                "name": name,
            },
        }

    def priority(self, number: str) -> dict[str, Any]:
        """One priority."""
        name = PRIORITIES[number]
        icon = f"{self.base_url}/images/icons/priorities/{name.lower()}.svg"
        return {"self": self.rest(f"priority/{number}"), "iconUrl": icon, "name": name, "id": number}

    def transition(self, number: str) -> dict[str, Any]:
        """One possible step of the workflow."""
        name, target = TRANSITIONS[number]
        return {"id": number, "name": name, "to": self.status(target)}

    def comment(self, issue: Issue, comment: Comment) -> dict[str, Any]:
        """A comment; its link names the issue by number."""
        view = {
            "self": self.rest(f"issue/{issue.id}/comment/{comment.id}"),
            "id": str(comment.id),
            "author": self.user(comment.author),
            "body": comment.body,
            "updateAuthor": self.user(comment.update_author),
            "created": self.stamp(comment.created),
            "updated": self.stamp(comment.updated),
        }
        return {**view, "visibility": comment.visibility} if comment.visibility else view

    def worklog(self, issue: Issue, worklog: Worklog) -> dict[str, Any]:
        """Logged work."""
        return {
            "self": self.rest(f"issue/{issue.id}/worklog/{worklog.id}"),
            "author": self.user(worklog.author),
            "updateAuthor": self.user(worklog.update_author),
            "comment": worklog.comment,
            "created": self.stamp(worklog.created),
            "updated": self.stamp(worklog.updated),
            "started": self.stamp(worklog.started),
            "timeSpent": f"{worklog.seconds // 60}m",
            "timeSpentSeconds": worklog.seconds,
            "id": str(worklog.id),
            "issueId": str(issue.id),
        }

    def change(self, change: Change) -> dict[str, Any]:
        """An entry of the history."""
        author, created = self.user(change.author), self.stamp(change.created)
        return {"id": str(change.id), "author": author, "created": created, "items": change.items}

    def attachment(self, attachment: Attachment) -> dict[str, Any]:
        """Metadata; `content` is a servlet address on-premise, a REST one on Cloud."""
        number = attachment.id
        content = f"{self.base_url}/secure/attachment/{number}/{quote_plus(attachment.filename)}"
        view = {
            "self": self.rest(f"attachment/{number}"),
            "id": str(number),
            "filename": attachment.filename,
            "author": self.user(attachment.author),
            "created": self.stamp(attachment.created),
            "size": attachment.content.size,
            "mimeType": attachment.mime_type,
            "content": self.rest(f"attachment/content/{number}") if self.profile.is_cloud else content,
        }
        if attachment.mime_type.startswith("image/"):
            view["thumbnail"] = f"{self.base_url}/secure/thumbnail/{number}/_thumb_{number}.png"
        return view

    def link(self, link: Link, seen_from: Issue) -> dict[str, Any]:
        """A link as one of its two issues shows it."""
        name, inward, outward = LINK_TYPES[link.type_id]
        other_is_outward = link.inward is seen_from
        other = link.outward if other_is_outward else link.inward
        return {
            "id": str(link.id),
            "self": self.rest(f"issueLink/{link.id}"),
            "type": {"id": link.type_id, "name": name, "inward": inward, "outward": outward,
                     "self": self.rest(f"issueLinkType/{link.type_id}")},
            "outwardIssue" if other_is_outward else "inwardIssue": self.issue_stub(other),
        }  # fmt: skip

    def issue_stub(self, issue: Issue) -> dict[str, Any]:
        """An issue inside another one."""
        fields = {
            "summary": issue.summary,
            "status": self.status(issue.status_id),
            "priority": self.priority(issue.priority_id),
            "issuetype": self.issue_type(issue.type_id),
        }
        return {"id": str(issue.id), "key": issue.key, "self": self.rest(f"issue/{issue.id}"), "fields": fields}

    def watchers(self, issue: Issue, user: User | None, *, with_names: bool) -> dict[str, Any]:
        """/watchers; names only for those who may see them."""
        return {
            "self": self.rest(f"issue/{quote(issue.key)}/watchers"),
            "isWatching": user in issue.watchers,
            "watchCount": len(issue.watchers),
            "watchers": [self.user(watcher) for watcher in issue.watchers] if with_names else [],
        }

    def votes(self, issue: Issue, user: User | None) -> dict[str, Any]:
        """/votes without the names."""
        link = self.rest(f"issue/{issue.key}/votes")
        return {"self": link, "votes": len(issue.voters), "hasVoted": user in issue.voters}

    def fields(self, issue: Issue, user: User | None) -> dict[str, Any]:
        """All fields of an issue."""
        security = issue.security
        comments = issue.comments[:INLINE_LIMIT] if self.profile.is_cloud else issue.comments
        shown = [self.comment(issue, comment) for comment in comments]
        worklogs = [self.worklog(issue, worklog) for worklog in issue.worklogs[:INLINE_LIMIT]]
        watches = self.watchers(issue, user, with_names=False)
        return {
            "issuetype": self.issue_type(issue.type_id),
            "project": self.project(issue.project),
            "resolution": {"self": self.rest("resolution/10000"), "id": "10000", "name": issue.resolution}
            if issue.resolution
            else None,
            "created": self.stamp(issue.created),
            "updated": self.stamp(issue.updated),
            "priority": self.priority(issue.priority_id),
            "labels": issue.labels,
            "assignee": self.user(issue.assignee),
            "reporter": self.user(issue.reporter),
            "creator": self.user(issue.reporter),
            "status": self.status(issue.status_id),
            "components": [],
            "fixVersions": [],
            "versions": [],
            "issuelinks": [self.link(link, issue) for link in issue.links],
            "subtasks": [self.issue_stub(child) for child in issue.children],
            "summary": issue.summary,
            "description": issue.description,
            "watches": {key: value for key, value in watches.items() if key != "watchers"},
            "votes": self.votes(issue, user),
            "attachment": [self.attachment(attachment) for attachment in issue.attachments],
            "comment": {
                "comments": shown,
                "maxResults": INLINE_LIMIT if self.profile.is_cloud else len(shown),
                "total": len(issue.comments),
                "startAt": 0,
            },
            "worklog": {
                "startAt": 0,
                "maxResults": INLINE_LIMIT,
                "total": len(issue.worklogs),
                "worklogs": worklogs,
            },
            **({"security": {"id": security, "name": SECURITY_LEVELS[security]}} if security else {}),
            **({"parent": self.issue_stub(issue.parent)} if issue.parent else {}),
            **issue.extra,
        }

    def issue(self, issue: Issue, user: User | None, fields: str = "*all", expand: str = "") -> dict[str, Any]:
        """An issue with the wanted fields (`*all`, `*navigable`, names, `-name`)."""
        view: dict[str, Any] = {
            "expand": "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations",
            "id": str(issue.id),
            "self": self.rest(f"issue/{issue.id}"),
            "key": issue.key,
            "fields": _wanted(self.fields(issue, user), fields),
        }
        if "changelog" in expand:
            histories = [self.change(change) for change in issue.history]
            count = len(histories)
            view["changelog"] = {"startAt": 0, "maxResults": count, "total": count, "histories": histories}
        if "renderedFields" in expand:
            view["renderedFields"] = {"description": f"<p>{issue.description or ''}</p>"}
        if "transitions" in expand:
            view["transitions"] = [self.transition(number) for number in TRANSITIONS]
        return view


NOT_NAVIGABLE = {"comment", "attachment", "worklog"}


def _wanted(fields: dict[str, Any], spec: str) -> dict[str, Any]:
    names = [name.strip() for name in spec.split(",") if name.strip()]
    dropped = {name[1:] for name in names if name.startswith("-")}
    positive = {name for name in names if not name.startswith("-")}
    if "*all" in positive or not positive:
        return {name: value for name, value in fields.items() if name not in dropped}
    if "*navigable" in positive:
        positive |= fields.keys() - NOT_NAVIGABLE
    return {name: value for name, value in fields.items() if name in positive - dropped}
