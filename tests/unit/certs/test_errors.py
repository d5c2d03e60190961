"""Every error says what is wrong and what to do."""

from pathlib import Path

from certs.errors import CodeFlaw, CodeRejected, EnrollmentRefused, NameRejected, PrivateFileExposed, RefusalReason


def test_an_error_reads_as_problem_and_fix():
    error = PrivateFileExposed(Path("/x/agent.key"), 0o644, 0o600)
    assert str(error) == (
        "/x/agent.key has mode 0644, so other users can reach a private key: run 'chmod 600 /x/agent.key'"
    )


def test_nobody_is_told_to_close_a_directory_that_everybody_shares():
    assert PrivateFileExposed(Path("/tmp"), 0o1777, 0o700).fix == "use a directory of its own"


def test_every_refusal_and_flaw_has_its_own_words():
    assert len({str(EnrollmentRefused(reason)) for reason in RefusalReason}) == len(RefusalReason)
    assert len({str(CodeRejected(flaw)) for flaw in CodeFlaw}) == len(CodeFlaw)


def test_a_refused_name_is_quoted_safely_and_briefly():
    text = str(NameRejected("\x1b[31m" + "a" * 10_000, "rule"))
    assert "\x1b" not in text
    assert len(text) < 200
