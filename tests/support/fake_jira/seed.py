"""The people and records that a new stand-in starts with (the invented company of the fixtures).

Accounts (password `password-of-<name>`, PAT `pat-<number>-of-<name>`):
`svc.bridge` works in OPS; `admin` may do everything; `readonly` may browse OPS; `outsider` sees no project;
`no.access` has no application access; `locked` must solve a CAPTCHA first; `pat` administers the project OPS, not
Jira. Project HID is for admins only, OPS-13 has a security level that `svc.bridge` is not a member of.
Their time zones differ from each other, from UTC and from Jira's own (Europe/Madrid).
"""

from datetime import UTC, datetime, timedelta

from tests.support.fake_jira.people import People, User
from tests.support.fake_jira.permissions import grants_of
from tests.support.fake_jira.store import Project, Store

EPOCH = datetime(2026, 3, 3, 8, 14, 7, 312000, tzinfo=UTC)
WORDS = ("valve", "pump", "sensor", "router", "door", "printer", "conveyor", "lamp", "gauge", "motor")


def seed_people(people: People) -> None:
    """Register the accounts."""
    users = {"jira-software-users"}
    people.add(
        User(
            "svc.bridge", "Bridge Service", 10412, users | {"integrations", "developers"}, time_zone="America/New_York"
        )
    )
    people.add(
        User(
            "admin",
            "Ada Admin",
            10100,
            users | {"jira-administrators", "qa-team", "developers"},
            time_zone="Asia/Kolkata",
        )
    )
    people.add(User("ines.ferro", "Inés Ferro", 10207, users | {"developers", "project-leads"}))
    people.add(User("omar.haddad", "Omar Haddad", 10208, users | {"developers", "qa-team"}))
    people.add(User("readonly", "Rea Donly", 10500, users | {"viewers"}, time_zone="Australia/Adelaide"))
    people.add(User("outsider", "Otto Outside", 10501, users))
    people.add(User("no.access", "Nora Noaccess", 10502, set(), application_access=False))
    people.add(User("pat", "Pat Projectlead", 10504, users | {"project-leads"}, time_zone="Pacific/Auckland"))
    people.add(User("locked", "Lou Locked", 10503, users | {"developers"}, captcha=True, failed_logins=3))


def seed_store(store: Store, people: People, issues: int = 60) -> None:
    """Projects OPS and HID with `issues` issues in OPS."""
    ines = people.users["ines.ferro"]
    scheme = grants_of({"developers"}, {"jira-administrators", "project-leads"}, {"viewers"})
    hidden = grants_of(set(), {"jira-administrators"})
    levels = {"10031": {"developers", "jira-administrators"}, "10032": {"qa-team", "jira-administrators"}}
    ops = Project(10100, "OPS", "Operations", ines, scheme, security_members=levels)
    hid = Project(10101, "HID", "Hidden Matters", people.users["admin"], hidden, security_members=levels)
    store.projects = {"OPS": ops, "HID": hid}
    for number in range(1, issues + 1):
        _seed_issue(store, people, ops, number)
    for number in range(1, 4):
        store.add_issue(hid, f"Secret matter {number}", people.users["admin"], id=9_900 + number, number=number)
    _seed_details(store, people)


def _seed_issue(store: Store, people: People, project: Project, number: int) -> None:
    created = EPOCH + timedelta(minutes=number)
    word = WORDS[number % len(WORDS)]
    store.add_issue(
        project,
        "Replace the valve in hall 3" if number == 42 else f"Check {word} {number}",
        people.users["ines.ferro"],
        id=10_900 + number,
        number=number,
        created=created,
        updated=created + timedelta(hours=number % 7),
        description=f"The {word} in hall {number % 5} needs a look.",
        status_id=("10000", "10010", "10001")[number % 3],
        priority_id=str(number % 4 + 1),
        type_id="10002" if number % 4 == 0 else "10001",
        assignee=people.users["omar.haddad"] if number % 2 == 0 else None,
        labels=["plant"] if number % 5 == 0 else [],
        security="10032" if number == 13 else None,
    )


def _seed_details(store: Store, people: People) -> None:
    issue, other = store.find_issue("OPS-42"), store.find_issue("OPS-7")
    if issue is None or other is None:
        return
    ines = people.users["ines.ferro"]
    store.add_comment(issue, ines, "The spare part arrives on Friday.")
    store.add_comment(issue, people.users["svc.bridge"], "Mirrored from ticket 8812.")
    log = "".join(f"{second},{second * 7 % 100}\n" for second in range(2000)).encode()
    store.add_attachment(issue, ines, "pressure log.csv", log, "text/csv")
    store.add_attachment(issue, ines, "hall3.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "image/png")
    issue.watchers += [ines, people.users["omar.haddad"]]
    store.add_link("10000", inward=issue, outward=other)
    issue.updated = EPOCH + timedelta(days=1)
