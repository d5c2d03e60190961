"""What the answer at the webhook URL means."""

from agent.doctor.webhook_loop import judge, unknown_hooks

URL = "https://agent.corp.local:9443"


def test_only_a_404_that_this_agent_has_counted_closes_the_loop():
    assert judge(URL, 404, is_counted=True).result == "pass"
    for status, is_counted in ((404, False), (200, False), (502, True)):
        found = judge(URL, status, is_counted=is_counted)
        assert (found.result, str(status) in found.detail, found.action != "") == ("fail", True, True)


def test_counts_are_read_from_whatever_page_there_is():
    assert unknown_hooks({}) == 0
    assert unknown_hooks({"webhooks": None}) == 0
    assert unknown_hooks({"webhooks": {"refused": {"unknown_hook": 3, "full": 1}}}) == 3
