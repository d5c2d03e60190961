"""Lines of the audit log: what is sealed is followed, and nothing else is."""

import pytest

from agent.audit_chain import ORIGIN, Head, LineBroken, first_head, follow, last_head, parse, seal


def lines_of(*bodies, head=None):
    sealed, end = seal(head or Head(), bodies)
    return sealed.splitlines(keepends=True), end


def test_what_was_sealed_follows_and_is_json():
    lines, end = lines_of('"kind":"a"', '"kind":"b","x":"\\u001b"')
    head = Head()
    for line in lines:
        head = follow(head, line)
    assert head == end == last_head(lines[-1])
    assert parse(lines[1]) == {"n": 2, "kind": "b", "x": "\x1b", "chain": end.hash}


def test_a_line_that_is_not_the_next_says_what_is_wrong():
    lines, _ = lines_of('"kind":"a"', '"kind":"b"', '"kind":"c"')
    first = follow(Head(), lines[0])
    with pytest.raises(LineBroken, match="it is missing, line 3 stands in its place"):
        follow(first, lines[2])
    with pytest.raises(LineBroken, match="was changed"):
        follow(first, lines[1].replace(b'"b"', b'"x"'))
    with pytest.raises(LineBroken, match="no line of an audit log"):
        follow(first, b"\0" * 200)


def test_the_first_line_of_a_file_says_what_it_follows():
    [line], _ = lines_of(f'"kind":"file","after":"{"a" * 64}"', head=Head(9, "a" * 64))
    assert first_head(line) == Head(9, "a" * 64)
    for wrong in ('"kind":"file"', '"kind":"file","after":"x"', f'"kind":"x","after":"{ORIGIN}"'):
        with pytest.raises(LineBroken):
            first_head(lines_of(wrong)[0][0])


def test_a_head_is_written_and_read():
    assert Head.parse(str(Head(3, "ab" * 32))) == Head(3, "ab" * 32)
    for wrong in ("", "3", "x:y", f"3:{'AB' * 32}", f"-1:{ORIGIN}"):
        with pytest.raises(ValueError, match="no audit head"):
            Head.parse(wrong)
