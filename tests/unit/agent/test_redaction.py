"""What leaves this machine: no secret that is known here, and nothing that looks like one."""

import pytest

from agent.redaction import forms, redacted
from tests.support.evidence import forms as forms_of_evidence


@pytest.mark.parametrize("secret", ["hunter2-hunter2", 'p@ss/wörd "x" \\ %', "QWxhZGRpbjpvcGVu"])
def test_a_known_secret_is_found_in_every_form(secret):
    assert forms_of_evidence(secret) <= forms(secret)
    for form in forms(secret):
        assert form not in redacted(f"before {form} after", [secret])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("token jtg_Abc-123_x and jte_zzz", "token jtg_*** and jte_***"),
        ("whsec_MfKQ9r8GKYqrTwjU", "whsec_***"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: *** ***"),
        ("via http://user:pa%40ss@proxy:3128/x", "via http://***@proxy:3128/x"),
        ('{"password": "a \\" b", "user": "c"}', '{"password": ***, "user": "c"}'),
        ("os_password=hunter2&x=1", "os_password=***&x=1"),
        ("JSESSIONID=ABC; Path=/", "JSESSIONID=***; Path=/"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\nx", "***\nx"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "***"),
        ("GET /rest/api/2/issue/A-1 200 in 12 ms, policy read-only", "GET /rest/api/2/issue/A-1 200 in 12 ms, policy read-only"),
        ("https://jira.corp.local:8443/jira", "https://jira.corp.local:8443/jira"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_goes_and_the_rest_stays(text, left):
    assert redacted(text) == left


def test_a_secret_of_a_few_letters_leaves_the_text_readable():
    assert redacted("a banana", ["a"]) == "a banana"
