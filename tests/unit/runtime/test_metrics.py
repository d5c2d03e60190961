"""The sheet of one scrape, and the page: what a table names, in the format that Prometheus reads."""

import pytest

from runtime.histogram import Histogram
from runtime.metrics import MetricsPage, Sheet, counter, gauge, histogram
from tests.support.metrics_page import declared, samples

TABLE = (
    counter("x_things_total", "Things.", "kind"),
    gauge("x_size_bytes", "Their size."),
    histogram("x_wait_seconds", "How long.", "phase"),
)


def page(fill):
    return MetricsPage(TABLE, fill).render()


def test_numbers_come_out_as_they_were_put():
    waits = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 3.0):
        waits.observe(value)

    def fill(sheet: Sheet) -> None:
        sheet.put_each("x_things_total", {"b": 2, "a": 1})
        sheet.put("x_size_bytes", 2**40)
        sheet.put_histogram("x_wait_seconds", waits, "jira")

    found = {name: value for name, value in samples(page(fill)).items() if name.startswith("x_")}
    assert found == {
        'x_things_total{kind="a"}': 1,
        'x_things_total{kind="b"}': 2,
        "x_size_bytes": 2**40,
        'x_wait_seconds_bucket{le="0.1",phase="jira"}': 2,
        'x_wait_seconds_bucket{le="1.0",phase="jira"}': 3,
        'x_wait_seconds_bucket{le="+Inf",phase="jira"}': 4,
        'x_wait_seconds_count{phase="jira"}': 4,
        'x_wait_seconds_sum{phase="jira"}': pytest.approx(3.65),
    }


def test_labels_cannot_break_out_of_their_quotes():
    nasty = 'a"} 1\nx_size_bytes 7 # \\'

    def fill(sheet: Sheet) -> None:
        sheet.put("x_things_total", 1, nasty)

    text = page(fill)
    assert "\nx_size_bytes 7" not in text
    assert f'x_things_total{{kind="{nasty}"}}' in samples(text)


def test_what_the_table_does_not_name_is_refused():
    with pytest.raises(KeyError):
        page(lambda sheet: sheet.put("x_other_total", 1))
    with pytest.raises(ValueError, match="label"):
        page(lambda sheet: sheet.put("x_things_total", 1))


def test_metrics_are_explained_before_they_have_a_sample_and_the_process_is_there():
    text = page(lambda _: None)
    assert {metric.name for metric in TABLE} <= declared(text)
    assert samples(text)["process_resident_memory_bytes"] > 1e6


@pytest.mark.parametrize(
    ("name", "unit"),
    [("x_wait_seconds", "seconds"), ("x_sent_bytes_total", "bytes"), ("x_things_total", ""),
     ("x_expiry_timestamp_seconds", "timestamp_seconds")],
)  # fmt: skip
def test_the_unit_is_the_end_of_the_name(name, unit):
    assert gauge(name, "").unit == unit
