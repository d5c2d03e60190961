"""What others wrote and people read: nothing in it commands a terminal."""

from runtime.terminal import printable


def test_a_terminal_is_not_commanded():
    assert printable("a\x1b[31mb\x9b1m\rc\td\u202e") == "a\ufffd[31mb\ufffd1m\ufffdc\ufffdd\ufffd"


def test_what_cannot_be_encoded_does_not_end_a_command():
    printable("half of a pair: \ud800").encode()


def test_plain_text_and_its_lines_stay():
    assert printable("Grüße, 世界\n- next") == "Grüße, 世界\n- next"
