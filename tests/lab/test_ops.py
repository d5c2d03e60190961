"""Rules, dashboard and pages as Prometheus' own promtool reads them."""

import shutil
import subprocess

import pytest
import yaml

from tests.e2e.conftest import SERVICE
from tests.support.alert_table import PROJECT
from tests.support.fake_jira import JiraProcess
from tests.support.ops_files import expressions
from tests.support.stack import Stack, page

PROMETHEUS = PROJECT / "ops" / "prometheus"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing (Debian's package prometheus)"),
]


def promtool(*words, stdin=None):
    done = subprocess.run(
        ["promtool", *words], cwd=PROMETHEUS, input=stdin, capture_output=True, text=True, timeout=250, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_rules_fire_when_they_should_and_not_otherwise():
    status, said = promtool("test", "rules", "alerts_test.yml")
    assert status == 0, said


def test_the_scrape_example_is_a_configuration():
    status, said = promtool("check", "config", "scrape.yml")
    assert status == 0, said


def test_every_expression_of_rules_and_dashboard_is_promql(tmp_path):
    rules = [{"record": f"expression:{index}", "expr": text} for index, (_, text) in enumerate(expressions())]
    assert len(rules) > 80
    path = tmp_path / "expressions.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    status, said = promtool("check", "rules", str(path))
    assert status == 0, said


def test_promtool_finds_nothing_wrong_with_the_pages(tmp_path):
    with JiraProcess("9.12", context="/jira") as jira, Stack(tmp_path, jira.url) as stack:
        stack.start_gateway()
        agent = stack.enroll("hq", **SERVICE).start_and_wait()
        for port in (stack.admin_port, agent.admin_port):
            status, said = promtool("check", "metrics", stdin=page(port, "/metrics")[1].decode())
            assert (status, said.strip()) == (0, "")
