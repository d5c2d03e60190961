"""The status page as lines for a person. Pure: the page is agent.status's, the words are here."""

from collections.abc import Iterator, Mapping
from typing import Any


def status_lines(page: Mapping[str, Any]) -> Iterator[str]:
    """Yield what `jira-agent status` prints."""
    yield f"{page['status']}"
    if "switch" in page:
        yield f"  switch     {_switch(page['switch'])}"
    if "agent" in page:
        yield f"  agent      {page['agent']}/{page['instance']}, certificate until {page['certificate_expires_at']}"
        yield f"  jira       {_jira(page['jira'])}"
        yield f"  policy     {page['policy']['source']} ({page['policy']['rules']} rules)"
    requests = page["requests"]
    yield f"  requests   {requests['in_flight']} of {requests['limit']} in flight, {requests['waiting']} waiting"
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(requests["outcomes"].items()))
    yield f"  outcomes   {outcomes or 'none yet'}"
    if page.get("webhooks"):
        yield from _webhooks(page["webhooks"])
    for link in page.get("links", []):
        yield f"  link       {_link(link)}"
    for warning in page["warnings"]:
        yield f"  warning    {warning}"


def _switch(switch: Mapping[str, Any]) -> str:
    parts = [
        switch["mode"],
        f"since {switch['since']}" if switch["since"] else "",
        f"by {switch['by']}" if switch["by"] else "",
        f"until {switch['until']}" if switch["until"] else "",
        f"({switch['reason']})" if switch["reason"] else "",
    ]
    return " ".join(part for part in parts if part)


def _jira(jira: Mapping[str, Any]) -> str:
    answers = f"version {jira['version']}, base URL {jira['base_url']}" if jira["answers"] else "does not answer"
    return f"{jira['url']}: {answers}; credentials here: {jira['credentials']}"


def _webhooks(webhooks: Mapping[str, Any]) -> Iterator[str]:
    spool = webhooks["spool"]
    where = f"at {webhooks['url']}, {webhooks['hooks']} hooks" if webhooks["url"] else "not received here"
    yield f"  webhooks   {where}; {webhooks['received']} received{_by_reason('refused', webhooks['refused'])}"
    age = "" if spool["oldest_age_seconds"] is None else f", the oldest {spool['oldest_age_seconds']} s old"
    yield f"  spool      {spool['events']} events, {spool['bytes']} of {spool['limit_bytes']} bytes{age}"
    yield f"  carried    {webhooks['carried']} to gateways{_by_reason('dropped', webhooks['dropped'])}"


def _by_reason(word: str, counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    return f", {sum(counts.values())} {word} ({', '.join(f'{n} {reason}' for reason, n in sorted(counts.items()))})"


def _link(link: Mapping[str, Any]) -> str:
    state = "draining" if link["draining"] else "up" if link["usable"] else "opening"
    rtt = "" if link["rtt_ms"] is None else f", {link['rtt_ms']} ms"
    return f"{link['gateway']} {state}, {link['streams']} streams{rtt}"
