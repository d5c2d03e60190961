"""The summary is one line that names what failed."""

from agent.doctor.check import failed, passed, skip_all, summary


def test_a_summary_counts_and_names_what_failed():
    well = [passed("dns", "x"), *skip_all(["a", "b"], "no")]
    assert summary(well) == "nothing failed: 1 passed, 2 skipped"
    assert summary([*well, failed("tls", "x", "y")]) == "1 failed, 1 passed, 2 skipped: look at tls"
