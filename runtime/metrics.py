"""Metrics: one table of what there is, and a page in Prometheus' text format made from it at each scrape.

Nothing is counted here. The parts of a program own plain integers; at a scrape the program puts them on a `Sheet`,
which refuses what its table does not name. How a metric is added: ARCHITECTURE.md; why so: decision 0020.
"""

import asyncio
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runtime.histogram import Histogram
from runtime.loop_lag import LoopLag
from runtime.version import release

SAMPLES_AT_ONCE: Final = 200
"""A millisecond or two of work: then others may have the loop."""
UNITS: Final = ("timestamp_seconds", "seconds", "bytes", "ratio", "info")


class Kind(Enum):
    """What a metric does; the value is Prometheus' word."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of a table: `text` says what is counted, `look` when a person should look; both end up in docs."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    look: str = ""

    @property
    def unit(self) -> str:
        """The unit, as the name says it; empty for a plain number."""
        stem = self.name.removesuffix("_total")
        return next((unit for unit in UNITS if stem.endswith("_" + unit)), "")


def counter(name: str, text: str, *labels: str, look: str = "") -> Metric:
    """Return the row of something that only grows; `name` ends with _total."""
    return Metric(name, Kind.COUNTER, text, labels, look)


def gauge(name: str, text: str, *labels: str, look: str = "") -> Metric:
    """Return the row of something that goes up and down; yes and no are 1 and 0."""
    return Metric(name, Kind.GAUGE, text, labels, look)


def histogram(name: str, text: str, *labels: str, look: str = "") -> Metric:
    """Return the row of a distribution (runtime.histogram)."""
    return Metric(name, Kind.HISTOGRAM, text, labels, look)


Table = Sequence[Metric]
Sample = tuple[tuple[str, ...], float | Histogram]


class Sheet:
    """The samples of one scrape.

    Every method raises `KeyError` for a name that the table does not have, `ValueError` for other labels than it says.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._labels = {metric.name: metric.labels for metric in table}
        self._samples: dict[str, list[Sample]] = {metric.name: [] for metric in table}

    def __repr__(self) -> str:
        return f"<Sheet {sum(map(len, self._samples.values()))} samples>"

    def put(self, name: str, value: float, *labels: str) -> None:
        """Put one number; `labels` are the values of the metric's labels, in the table's order."""
        self._check(name, labels)
        self._samples[name].append((labels, value))

    def put_each(self, name: str, values: Mapping[str, float]) -> None:
        """Put the numbers of a metric with one label."""
        for label, value in sorted(values.items()):
            self.put(name, value, label)

    def put_histogram(self, name: str, values: Histogram, *labels: str) -> None:
        """Put a distribution, as it is when the page is written."""
        self._check(name, labels)
        self._samples[name].append((labels, values))

    def _check(self, name: str, labels: tuple[str, ...]) -> None:
        if len(labels) != len(self._labels[name]):
            raise ValueError(f"{name} has the labels {self._labels[name]}, not {len(labels)}")

    def rows(self) -> Iterator[tuple[Metric, list[Sample]]]:
        """Yield everything in the order of the table, also what has no sample yet."""
        for metric in self._table:
            yield metric, self._samples[metric.name]


PROCESS: Final = (
    gauge("process_resident_memory_bytes", "Memory of the process.", look="it grows for days"),
    gauge("process_virtual_memory_bytes", "Address space of the process."),
    gauge("process_start_time_seconds", "When the process began, seconds since 1970.", look="it changes: a restart"),
    gauge("process_open_fds", "Open file descriptors.", look="it comes near `process_max_fds`"),
    gauge("process_max_fds", "File descriptors that there may be."),
    counter("process_cpu_seconds_total", "Seconds of CPU used.", look="its rate is near 1: one core is all we use"),
)
"""What the library's own collector says, under the names that every dashboard knows."""


def program_rows(prefix: str) -> Table:
    """Return the rows that both programs have."""
    return (
        gauge(f"{prefix}_build_info", "Always 1; the release and its Python.", "version", "python"),
        gauge(f"{prefix}_ready", "Whether /readyz says yes.", look="it is 0; /readyz says why"),
        gauge(
            f"{prefix}_state_directory_free_bytes",
            "Room for this program on the disk of the state directory.",
            look="it is less than 1 GiB",
        ),
        histogram(
            f"{prefix}_event_loop_lag_seconds",
            "How late the event loop woke a task that slept for a quarter second.",
            look="more than a few are above 0.1: everybody waits",
        ),
        gauge(
            f"{prefix}_event_loop_lag_max_seconds",
            "The longest of them in the last minute.",
            look="it is above 0.25",
        ),
        gauge(f"{prefix}_event_loop_tasks", "Tasks of the event loop.", look="it grows for days"),
    )


def put_program(sheet: Sheet, prefix: str, lag: LoopLag, *, is_ready: bool, free_bytes: int | None) -> None:
    """Put what both programs have; `free_bytes` is None where it cannot be known."""
    sheet.put(f"{prefix}_build_info", 1, release(), platform.python_version())
    sheet.put(f"{prefix}_ready", is_ready)
    if free_bytes is not None:
        sheet.put(f"{prefix}_state_directory_free_bytes", free_bytes)
    sheet.put_histogram(f"{prefix}_event_loop_lag_seconds", lag.histogram)
    sheet.put(f"{prefix}_event_loop_lag_max_seconds", lag.longest)
    with suppress(RuntimeError):  # no loop runs
        sheet.put(f"{prefix}_event_loop_tasks", len(asyncio.all_tasks()))


def put_lanes(sheet: Sheet, name: str, lanes: Sequence[str], links: Sequence[Sequence[int]]) -> None:
    """Put what waits in each lane, of all links together."""
    for index, lane in enumerate(lanes):
        sheet.put(name, sum(link[index] for link in links), lane)


Fill = Callable[[Sheet], Iterable[None] | None]
"""Puts a program's numbers on a sheet. With many of them it is a generator: others may have the loop at each yield."""


class MetricsPage:
    """The page: `fill` puts the program's numbers on a sheet of its table, the library writes the text."""

    def __init__(self, table: Table, fill: Fill) -> None:
        self._table = table
        self._fill = fill

    def __repr__(self) -> str:
        return f"<MetricsPage of {len(self._table)} metrics>"

    def pieces(self) -> Iterator[str]:
        """Yield the page in the text format 0.0.4, in pieces of a millisecond or two; some are empty."""
        from runtime.metric_text import process_text, text_of  # noqa: PLC0415 - 1.5 MiB, until somebody asks

        sheet = Sheet(self._table)
        for _ in self._fill(sheet) or ():
            yield ""
        for metric, samples in sheet.rows():
            yield from text_of(metric, samples)
        yield from process_text()

    def render(self) -> str:
        """Return the whole page."""
        return "".join(self.pieces())
