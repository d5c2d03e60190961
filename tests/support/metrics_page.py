"""A page of metrics, read: by the library's own parser, so that what is asserted is what a scrape understands."""

from prometheus_client.parser import text_string_to_metric_families


def samples(page: str) -> dict[str, float]:
    """Every sample by its name and its sorted labels, as `name{a="b"}`."""
    return {_key(sample.name, sample.labels): sample.value for sample in _samples(page)}


def names(page: str) -> set[str]:
    """The names of all metrics that have a sample, as a table writes them."""
    return {
        _of_histogram(sample.name) if family.type == "histogram" else sample.name
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def declared(page: str) -> set[str]:
    """The names of all metrics that the page explains, with a sample or without."""
    return {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}


def label_values(page: str) -> dict[tuple[str, str], set[str]]:
    """(metric, label) -> its values."""
    found: dict[tuple[str, str], set[str]] = {}
    for sample in _samples(page):
        for label, value in sample.labels.items():
            found.setdefault((sample.name, label), set()).add(value)
    return found


def _samples(page):
    return [sample for family in text_string_to_metric_families(page) for sample in family.samples]


def _key(name, labels):
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name


def _of_histogram(name):
    return name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
