"""The table of link keys against the recorded answers of real Jiras."""

from jira_api.link_keys import LINK_KEYS, NOT_ROLE_NAMES


def test_the_table_names_each_key_once_and_nothing_that_people_write():
    assert len(set(LINK_KEYS)) == len(LINK_KEYS)
    assert not {b"url", b"description", b"body", b"summary", b"href", b"object"} & set(LINK_KEYS)
    assert {b"self", b"content", b"thumbnail", b"48x48", b"iconUrl", b"nextPage", b"baseUrl"} <= set(LINK_KEYS)
    assert not set(NOT_ROLE_NAMES) & set(LINK_KEYS)


def test_keys_are_plain_words_that_need_no_escaping_in_json_or_in_a_pattern():
    assert all(key.isalnum() for key in LINK_KEYS)
