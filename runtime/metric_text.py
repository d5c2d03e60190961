"""Writes what is on the sheet of a scrape in Prometheus' text format 0.0.4, with the library that knows it.

The only module that imports it, and it is imported by the first scrape. Knows nothing of what is measured.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from runtime.histogram import Histogram
from runtime.metrics import SAMPLES_AT_ONCE, Kind, Metric, Sample

_LINES_ABOUT: Final = re.compile(r"^#.*\n", re.MULTILINE)


def text_of(metric: Metric, samples: Sequence[Sample]) -> Iterator[str]:
    """Yield the lines about a metric, then its samples, SAMPLES_AT_ONCE at a time."""
    yield _write(_family(metric, ()))
    for begin in range(0, len(samples), SAMPLES_AT_ONCE):
        part = _family(metric, samples[begin : begin + SAMPLES_AT_ONCE])
        yield _LINES_ABOUT.sub("", _write(part))


def process_text() -> Iterator[str]:
    """Yield what the library's own collector says of this process."""
    yield from map(_write, ProcessCollector(registry=None).collect())


@dataclass(frozen=True, slots=True)
class _Only(Collector):
    """What the library asks for one family."""

    family: Family

    def collect(self) -> Iterable[Family]:
        return (self.family,)


def _write(family: Family) -> str:
    return generate_latest(_Only(family)).decode()


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    if metric.kind is Kind.HISTOGRAM:
        return _histogram(metric, samples)
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.text, labels=metric.labels)
    for labels, value in samples:
        if not isinstance(value, Histogram):
            family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, samples: Iterable[Sample]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
    for labels, value in samples:
        if isinstance(value, Histogram):
            bounds = [*map(floatToGoString, value.bounds), "+Inf"]
            buckets = list(zip(bounds, accumulate(map(float, value.counts)), strict=True))
            family.add_metric(labels, buckets, value.total)
    return family
