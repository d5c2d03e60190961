"""The management API keeps to its own OpenAPI document: schemathesis asks the real gateway whatever it can think of.

It looks for server errors, undocumented statuses, content types, headers and bodies, invalid requests that are taken,
methods that should be refused, and operations that answer without a token. Not for valid-by-schema requests that are
refused (positive_data_acceptance): rules between fields, such as `via` and `base_url`, have no schema.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.callers import ask, bearer
from tests.support.schemathesis_hooks import OWN_TOKEN
from tests.support.stack import PROJECT, Stack

EXAMPLES = 20
MANY = 100
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)

NEW_TRIGGER = ("--connection", "headquarters", "--name", "headquarters", "--events", "jira:issue_created")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A gateway with one agent, connection, token and trigger under the name that the document gives as an example."""
    with Stack(tmp_path_factory.mktemp("managed"), "http://127.0.0.1:9") as stack:
        stack.start_gateway()
        stack.must("agents", "invite", "headquarters")
        stack.connect("headquarters")
        stack.must("triggers", "add", *NEW_TRIGGER)
        yield stack


@pytest.fixture(scope="module")
def token(stack):
    """A token for administration."""
    return stack.token(OWN_TOKEN, flags=("--scope", "admin", "--expires", "never"))


def schemathesis(stack: Stack, folder: Path, token: str) -> subprocess.CompletedProcess[str]:
    """Run it with the token in a file: no secret is put on a command line."""
    config = folder / "schemathesis.toml"
    config.write_text(f'hooks = "tests.support.schemathesis_hooks"\n[headers]\nAuthorization = "Bearer {token}"\n')
    words = [
        *("--config-file", str(config), "run", f"{stack.url}/api/v1/openapi.json", "--checks", ",".join(CHECKS)),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--generation-deterministic"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--request-timeout", "20", "--continue-on-failure"),
        *("--report", "ndjson", "--report-ndjson-path", str(folder / "events.ndjson")),
    ]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    program = Path(sys.executable).with_name("schemathesis")
    return subprocess.run(
        [str(program), *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=110, check=False
    )


def test_every_answer_is_a_documented_one(stack, token, tmp_path):
    done = schemathesis(stack, tmp_path, token)
    seen = Counter(re.findall(r'"status_code":(\d+)', (tmp_path / "events.ndjson").read_text(encoding="utf-8")))

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert seen["200"] > MANY, f"most requests never got to what they ask for: {seen}"
    assert ask(stack.url, "GET", "/api/v1/openapi.json", headers=[bearer(token)]).status == 200
