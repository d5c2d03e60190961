"""What is decided for triggers and hooks, in all combinations of what is wanted and what is possible."""

from datetime import UTC, datetime

import pytest

from gateway.events.plan import Site, Step, choose, judge, leads_to, marker, ours, share
from gateway.store import Hook, Kind, Trigger, Way
from jira_api.webhook_api import SeenWebhook, WantedWebhook

NOW = datetime(2026, 11, 26, tzinfo=UTC)
LAN, NET = "http://agent.local:7070", "https://gw.example"
BOTH = {Way.LAN: LAN, Way.INTERNET: NET}
NO_LAN = {Way.LAN: "the agent does not listen"}
NO_NET = {Way.INTERNET: "Jira cannot reach it"}


def trigger(number=1, events=("jira:issue_updated",), jql=None, **fields):
    return Trigger(number, f"t{number}", "hq", frozenset(events), NOW, jql, **fields)


def hook(number=1, way=Way.LAN, kind=Kind.REGISTERED, jql=None, **fields):
    return Hook(number, "hq", way, kind, f"{number:08x}" + "0" * 56, NOW, jql, **fields)


def site(urls=BOTH, no_way=None, refusal=None, *, has_account=True):
    return Site(has_account, urls, no_way or {}, refusal)


def chosen(row, place, *hooks):
    choice = choose(row, place, {one.id: one for one in hooks})
    return choice.kind, choice.way


def test_an_administrator_gets_registered_and_the_own_network_comes_first():
    assert chosen(trigger(), site()) == (Kind.REGISTERED, Way.LAN)
    assert chosen(trigger(), site({Way.INTERNET: NET}, NO_LAN)) == (Kind.REGISTERED, Way.INTERNET)
    assert chosen(trigger(way=Way.INTERNET), site()) == (Kind.REGISTERED, Way.INTERNET)


def test_who_is_refused_gets_steps_and_the_reason():
    choice = choose(trigger(), site(refusal="Jira answered 403"), {})
    assert (choice.kind, choice.way) == (Kind.MANUAL, Way.LAN)
    assert "Jira answered 403" in choice.note


def test_a_way_that_works_is_not_left_for_one_that_may_not():
    row, net = trigger(hook=1, kind=Kind.REGISTERED), hook(way=Way.INTERNET, remote_id="5")
    assert chosen(row, site(), net) == (Kind.REGISTERED, Way.INTERNET)
    assert chosen(row, site(refusal="the policy does not allow it"), net) == (Kind.REGISTERED, Way.INTERNET)
    assert chosen(trigger(hook=1, kind=Kind.REGISTERED, way=Way.LAN), site(), net) == (Kind.REGISTERED, Way.LAN)


def test_what_is_polled_is_not_given_up_for_a_webhook_that_somebody_has_to_make():
    row = trigger(kind=Kind.POLLED)
    choice = choose(row, site(refusal="Jira answered 403"), {})
    assert (choice.kind, "Jira answered 403" in choice.note) == (Kind.POLLED, True)
    assert chosen(row, site()) == (Kind.REGISTERED, Way.LAN)
    assert chosen(trigger(kind=Kind.POLLED, wanted=Kind.MANUAL), site()) == (Kind.MANUAL, Way.LAN)


def test_what_was_asked_for_and_cannot_be_is_a_problem_and_nothing_else():
    for row, place in (
        (trigger(wanted=Kind.REGISTERED), site(refusal="Jira answered 403")),
        (trigger(wanted=Kind.REGISTERED), site(has_account=False)),
        (trigger(wanted=Kind.MANUAL, way=Way.LAN), site({Way.INTERNET: NET}, NO_LAN)),
        (trigger(wanted=Kind.POLLED), site(has_account=False)),
        (trigger(), site({}, {**NO_LAN, **NO_NET}, has_account=False)),
    ):
        choice = choose(row, place, {})
        assert (choice.kind, bool(choice.note)) == (None, True)


def test_without_any_way_it_is_polled_and_both_reasons_are_named():
    choice = choose(trigger(), site({}, {**NO_LAN, **NO_NET}), {})
    assert choice.kind is Kind.POLLED
    assert "the agent does not listen" in choice.note
    assert "Jira cannot reach it" in choice.note


def test_polling_names_what_it_cannot_find():
    assert choose(trigger(events=["sprint_started", "comment_created"], wanted=Kind.POLLED), site(), {}).note == (
        "as asked; a search does not find sprint_started"
    )


def test_without_an_account_webhooks_are_made_by_hand():
    assert chosen(trigger(), site(has_account=False)) == (Kind.MANUAL, Way.LAN)
    assert chosen(trigger(wanted=Kind.MANUAL), site()) == (Kind.MANUAL, Way.LAN)


def test_a_registered_hook_is_kept_when_the_account_may_not_look_any_more():
    mine = hook(7, remote_id="12")
    place = site(refusal="Jira answered 403")
    assert chosen(trigger(kind=Kind.REGISTERED, hook=7), place, mine) == (Kind.REGISTERED, Way.LAN)
    never = hook(7)
    assert chosen(trigger(kind=Kind.REGISTERED, hook=7), place, never) == (Kind.MANUAL, Way.LAN)


@pytest.mark.parametrize("kind", [Kind.REGISTERED, Kind.MANUAL])
def test_a_hook_whose_way_is_away_is_kept(kind):
    choice = choose(trigger(kind=kind, hook=7), site({Way.INTERNET: NET}, NO_LAN), {7: hook(7, kind=kind)})
    assert (choice.kind, choice.way, choice.is_kept) == (kind, Way.LAN, True)
    assert choice.note == "the agent does not listen"


def shared(rows, hooks=(), place=None):
    known = {one.id: one for one in hooks}
    demands, unused = share([(row, choose(row, place or site(), known)) for row in rows], list(hooks))
    return {(d.jql, d.kind): (d.hook and d.hook.id, d.events) for d in demands}, [one.id for one in unused]


def test_triggers_of_one_jql_share_a_hook_with_all_their_events():
    rows = [trigger(1, ["a"], "x = 1"), trigger(2, ["b"], " x = 1 "), trigger(3, ["c"]), trigger(4, ["d"], "")]
    assert shared(rows) == (
        {
            ("x = 1", Kind.REGISTERED): (None, frozenset("ab")),
            (None, Kind.REGISTERED): (None, frozenset("cd")),
        },
        [],
    )


def test_a_hook_is_used_again_and_what_nobody_needs_is_left_over():
    hooks = [hook(1, jql="x = 1", remote_id="5"), hook(2, jql="y = 1"), hook(3, way=Way.INTERNET, jql="x = 1")]
    assert shared([trigger(1, ["a"], "x = 1", hook=1)], hooks)[0] == {("x = 1", Kind.REGISTERED): (1, frozenset("a"))}
    assert shared([trigger(1, ["a"], "x = 1", hook=1)], hooks)[1] == [2, 3]


def test_of_two_hooks_that_fit_the_one_in_use_is_kept():
    hooks = [hook(1), hook(2, remote_id="5")]
    assert shared([trigger(hook=1)], hooks)[1] == [2]
    assert shared([trigger()], hooks)[1] == [1]


def test_a_hook_made_by_hand_is_taken_over_and_one_that_was_never_registered_given_up():
    by_hand = hook(1, kind=Kind.MANUAL)
    demands, unused = share([(trigger(), choose(trigger(), site(), {}))], [by_hand])
    assert (demands[0].hook, demands[0].is_takeover, unused) == (by_hand, True, [])
    refused = site(refusal="403")
    never, was = hook(2), hook(3, remote_id="9")
    demands, unused = share([(trigger(), choose(trigger(), refused, {}))], [was, never])
    assert (demands[0].kind, demands[0].hook, unused) == (Kind.MANUAL, never, [was])


def seen(number="1", name="other", url="https://chat.example/x", **fields):
    values = {"events": frozenset({"jira:issue_updated"}), "jql": None, "enabled": True, "excludes_body": False}
    return SeenWebhook(remote_id=number, name=name, url=url, **{**values, **fields})


ID = "k" * 43


def test_ours_is_what_has_our_name_or_our_address_and_nothing_else():
    mine = hook(7, remote_id="4")
    name = marker(mine)
    assert name == "jira-tunnel hq/7 [00000007]"
    by_name, by_url = seen("2", name), seen("3", "renamed", f"https://gw.example/hooks/{ID}?x=1")
    both = seen("4", name, f"https://old.example/hooks/{ID}")
    others = [seen("5"), seen("4", "jira-tunnel hq/7 [00000008]"), seen("6", "x", "https://gw.example/hooks/other")]
    assert ours(mine, ID, [*others, by_name, by_url, both]) == [both, by_url, by_name]
    assert ours(mine, ID, others) == []
    assert not leads_to("https://gw.example/hook", ID)


WANTED = WantedWebhook("n", f"{NET}/hooks/{ID}", frozenset({"jira:issue_updated"}), None, None)


def test_a_webhook_that_is_right_is_left_alone():
    found = judge(WANTED, [seen(name="n", url=WANTED.url)], was_registered=True)
    assert (found.step, found.wrong, found.surplus) == (Step.NOTHING, (), ())


def test_a_missing_webhook_is_made_and_counts_as_deleted_only_if_it_was_there():
    assert judge(WANTED, [], was_registered=False).wrong == ()
    found = judge(WANTED, [], was_registered=True)
    assert (found.step, found.wrong) == (Step.CREATE, ("it was deleted",))


@pytest.mark.parametrize(
    "change", [{"enabled": False}, {"excludes_body": True}, {"jql": "x = 1"}, {"events": frozenset()}, {"url": NET}]
)
def test_a_changed_webhook_is_repaired(change):
    found = judge(WANTED, [seen(**{"name": "n", "url": WANTED.url, **change})], was_registered=True)
    assert (found.step, len(found.wrong)) == (Step.UPDATE, 1)


def test_another_name_is_repaired_and_loses_nothing_and_copies_go():
    copy = seen("2", "n", WANTED.url)
    found = judge(WANTED, [seen(name="x", url=WANTED.url), copy], was_registered=True)
    assert (found.step, found.wrong, found.surplus) == (Step.UPDATE, (), (copy,))


def test_of_two_of_ours_the_one_that_is_right_is_kept():
    right = seen("2", "n", WANTED.url)
    found = judge(WANTED, [seen("1", "n", WANTED.url, enabled=False), right], was_registered=True)
    assert (found.step, found.kept, found.wrong) == (Step.NOTHING, right, ())
    assert [one.remote_id for one in found.surplus] == ["1"]
