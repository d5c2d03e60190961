"""How Seraph judges a login."""

import base64

import pytest

from tests.support.fake_jira.people import People
from tests.support.fake_jira.seed import seed_people


@pytest.fixture
def people():
    people = People(cloud=False, pat=True)
    seed_people(people)
    return people


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_the_right_password_and_the_right_token_log_in(people):
    user = people.users["svc.bridge"]
    assert people.judge(basic("svc.bridge", user.password), None).user is user
    assert people.judge(f"Bearer {user.token}", None).user is user


def test_three_wrong_passwords_lock_the_account_even_for_the_right_one(people):
    wrong = [people.judge(basic("svc.bridge", "x"), None) for _ in range(3)]
    assert [login.refusal for login in wrong] == ["wrong-password"] * 3
    right = people.judge(basic("svc.bridge", people.users["svc.bridge"].password), None)
    assert (right.user, right.refusal, right.reason) == (None, "captcha-required", "AUTHENTICATION_DENIED")


def test_a_failed_login_can_look_like_anonymous(people):
    people.failed_login_is_anonymous = True
    login = people.judge(basic("svc.bridge", "x"), None)
    assert (login.user, login.refusal, login.reason) == (None, None, "AUTHENTICATED_FAILED")


def test_the_cookie_of_another_user_beats_the_own_password(people):
    value = people.open_session(people.users["admin"])
    login = people.judge(basic("svc.bridge", people.users["svc.bridge"].password), f"a=b; JSESSIONID={value}")
    assert login.user is people.users["admin"]


@pytest.mark.parametrize("header", [None, "", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Digest x"])
def test_an_unreadable_header_is_anonymous(people, header):
    login = people.judge(header, None)
    assert (login.user, login.refusal) == (None, None)


def test_other_refusals(people):
    assert people.judge("Bearer nonsense", None).refusal == "anonymous-needs-login"
    no_access = people.users["no.access"]
    assert people.judge(basic("no.access", no_access.password), None).refusal == "no-application-access"
    people.basic_auth = False
    assert people.judge(basic("svc.bridge", "x"), None).refusal == "basic-disabled"


def test_a_version_without_tokens_ignores_bearer():
    people = People(cloud=False, pat=False)
    seed_people(people)
    assert people.judge(f"Bearer {people.users['admin'].token}", None).user is None
