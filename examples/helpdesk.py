"""A stand-in for the other system: a list of tickets with notes, and a webhook of its own for notes that people write.

`PUT /tickets/<id>`, `DELETE`, `PUT /tickets/<id>/notes/<id>`, `GET /tickets`; `POST /tickets/<id>/notes` is what a
person does in its console, and is told to NOTES_URL.
"""

import os

from aiohttp import ClientSession, web

routes = web.RouteTableDef()
tickets: dict[str, dict[str, object]] = {}
notes: dict[str, dict[str, object]] = {}


@routes.put("/tickets/{id}")
async def put_ticket(request: web.Request) -> web.Response:
    tickets.setdefault(request.match_info["id"], {}).update(await request.json())
    return web.Response(status=204)


@routes.delete("/tickets/{id}")
async def delete_ticket(request: web.Request) -> web.Response:
    tickets.pop(request.match_info["id"], None)
    return web.Response(status=204)


@routes.put("/tickets/{id}/notes/{note}")
async def put_note(request: web.Request) -> web.Response:
    notes.setdefault(request.match_info["id"], {})[request.match_info["note"]] = await request.json()
    return web.Response(status=204)


@routes.post("/tickets/{id}/notes")
async def write_note(request: web.Request) -> web.Response:
    text = (await request.json())["text"]
    async with (
        ClientSession() as http,
        http.post(os.environ["NOTES_URL"], json={"ticket": request.match_info["id"], "text": text}) as told,
    ):
        return web.Response(status=204 if told.ok else 502)


@routes.get("/tickets")
async def list_tickets(request: web.Request) -> web.Response:
    del request
    return web.json_response(
        [{"id": number, **fields, "notes": list(notes.get(number, {}).values())} for number, fields in tickets.items()]
    )


if __name__ == "__main__":
    application = web.Application()
    application.add_routes(routes)
    web.run_app(application, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
