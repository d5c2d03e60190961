"""Keeps the tickets of a helpdesk in step with Jira, both ways: events in, REST calls out through the gateway."""

import os
from collections.abc import AsyncIterator

from aiohttp import ClientSession, web
from standardwebhooks import Webhook, WebhookVerificationError

JIRA = os.environ["JIRA_URL"]  # <PUBLIC_URL>/jira/<connection>
HELPDESK = os.environ["HELPDESK_URL"]
TOKEN = {"Authorization": f"Bearer {os.environ['GATEWAY_TOKEN']}"}
SIGNATURE = Webhook(os.environ["TRIGGER_SECRET"])
FROM_HELPDESK = "From the helpdesk: "  # marks our own comments, so that they do not come back as notes

routes = web.RouteTableDef()


@routes.post("/jira-events")
async def from_jira(request: web.Request) -> web.Response:
    """Take an event of Jira. Events may come twice and out of order: everything here may be done again."""
    try:
        event = SIGNATURE.verify(await request.read(), dict(request.headers))
    except WebhookVerificationError:
        return web.Response(status=401)
    if event["issue"] is None:  # a gap, a sprint, …: nothing that is a ticket
        return web.Response(status=204)
    http, ticket, payload = request.app["http"], f"{HELPDESK}/tickets/{event['issue']['id']}", event["payload"]
    if event["type"] == "jira:issue_deleted":
        await http.delete(ticket)
    else:  # ask for the newest state instead of trusting the order
        await copy_issue(http, ticket, event["issue"]["id"])
    comment = payload.get("comment") if isinstance(payload, dict) else None
    if event["type"] == "comment_created" and not comment["body"].startswith(FROM_HELPDESK):
        note = {"text": comment["body"], "author": comment["author"]["displayName"], "source": "jira"}
        await http.put(f"{ticket}/notes/{comment['id']}", json=note)
    return web.Response(status=204)


async def copy_issue(http: ClientSession, ticket: str, issue: str) -> None:
    async with http.get(f"{JIRA}/rest/api/2/issue/{issue}?fields=summary,status", headers=TOKEN) as answer:
        if answer.status == 404:
            return
        answer.raise_for_status()  # the gateway sends the event again later
        found = await answer.json()
    fields = found["fields"]
    await http.put(ticket, json={"key": found["key"], "title": fields["summary"], "state": fields["status"]["name"]})


@routes.post("/helpdesk-notes")
async def from_helpdesk(request: web.Request) -> web.Response:
    """Take a note that somebody wrote in the helpdesk, and make it a comment in Jira."""
    note = await request.json()
    comment = {"body": FROM_HELPDESK + note["text"]}
    url = f"{JIRA}/rest/api/2/issue/{note['ticket']}/comment"
    async with request.app["http"].post(url, json=comment, headers=TOKEN) as answer:
        return web.Response(status=204 if answer.ok else 502)


async def sessions(app: web.Application) -> AsyncIterator[None]:
    async with ClientSession() as app["http"]:
        yield


if __name__ == "__main__":
    application = web.Application()
    application.add_routes(routes)
    application.cleanup_ctx.append(sessions)
    web.run_app(application, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
