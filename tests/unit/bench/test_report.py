"""The tables say what the figures say."""

from bench.report import beside, report
from tests.support.bench_runs import run


def test_a_report_has_every_system_goal_and_the_noise():
    text = report(run())
    assert "| jira-tunnel | 16 | 10,000 | 10.00 | 0.42 | 5.00 | 10.00 | gateway 40 + agent 40 = 80 | 0 |" in text
    assert "| jira-tunnel, links rewritten | 16 |" in text
    assert "| jira-tunnel, links untouched | 16 |" in text
    assert "| nginx → nginx mTLS | 400 | 300 |" in text
    assert "| jira-tunnel | agent | 50.0 | 50.0 |" in text
    assert "Idle agent link at the gateway: 50 KiB." in text
    assert "small@16 0%" in text
    assert "| CPU at 128 | ≤ 90 µs | 80 µs | 0% | met |" in text


def test_a_missing_rival_is_one_line_and_the_rest_is_told():
    figures = run()
    del figures.systems["broker"]
    figures.absent["broker"] = "npm not installed"
    text = report(figures)
    assert "Not measured: Snyk Broker TLS: npm not installed." in text
    assert "| Snyk Broker TLS |" not in text
    assert "| jira-tunnel | 16 |" in text


def test_a_missed_goal_is_told():
    figures = run()
    figures.systems["ours"].rss_mib["idle"]["agent"] = 73.8
    assert "| agent idle | ≤ 60 MiB | 73.8 MiB | 0% | **not met** |" in report(figures)


def test_a_run_of_one_system_has_no_ratios():
    figures = run()
    figures.systems = {"ours": figures.systems["ours"]}
    text = report(figures)
    assert "| jira-tunnel | 16 | 10,000 |  |  | 5.00 | 10.00 | gateway 40 + agent 40 = 80 | 0 |" in text
    assert "| requests/s at 16 / ssh -R | ≥ 5 |  |  | not measured |" in text


def test_what_else_the_machine_did_is_told():
    figures = run()
    assert "Other programs used 1% of the machine's CPU meanwhile.\n" in report(figures)
    figures.machine["others"] = 0.4
    assert "Other programs used 40% of the machine's CPU meanwhile: it has better figures than these." in report(
        figures
    )


def test_a_comparison_of_a_disturbed_run_is_told():
    before, now = {"date": "2026-01-01", "machine": run().machine}, run()
    assert "used 1% of the CPU then and 1% now." in beside(before, now)
    now.machine["others"] = 0.4
    assert "used 1% of the CPU then and 40% now: **what differs may be their doing.**" in beside(before, now)
