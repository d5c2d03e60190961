"""Resources of attachments: upload with the XSRF rules, metadata, and the servlets that serve the bytes."""

import mimetypes
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, urlsplit

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.issues import visible_issue
from tests.support.fake_jira.multipart import MultipartError, PartHead, boundary_of, read_parts
from tests.support.fake_jira.permissions import may, sees_issue
from tests.support.fake_jira.routing import JiraError, Routes, Situation
from tests.support.fake_jira.store import Attachment, Content

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()


@routes.add("GET", "/rest/api/2/attachment/meta", anonymous=True)
async def meta(jira: "FakeJira", request: Request) -> Answer:
    return Answer.json({"enabled": jira.attachments_enabled, "uploadLimit": jira.upload_limit})


@routes.add("POST", "/rest/api/2/issue/{key}/attachments", anonymous=True)
async def upload(jira: "FakeJira", request: Request, key: str) -> Answer:
    if (request.header("X-Atlassian-Token") or "").lower() not in {"no-check", "nocheck"}:
        raise Situation("xsrf-missing-token")
    issue = visible_issue(jira, request, key)
    if not jira.attachments_enabled or not may(request.user, "CREATE_ATTACHMENTS", issue.project):
        raise Situation("attach-denied")
    parts: list[tuple[PartHead, Content]] = []

    def open_part(head: PartHead):
        content = Content()
        parts.append((head, content))
        return content.take

    try:
        await read_parts(request.body(), boundary_of(request.header("Content-Type")), open_part)
        files = [(head, content) for head, content in parts if head.name == "file" and head.filename is not None]
        if not files:
            raise JiraError(400, "No file part")
        if any(content.size > jira.upload_limit for _, content in files):
            text = f"The field file exceeds its maximum permitted size of {jira.upload_limit} bytes."
            return Answer.text(text, 413 if jira.profile.is_cloud else 404, "text/plain;charset=UTF-8")
    except MultipartError as error:
        raise JiraError(400, str(error)) from None
    added = []
    for head, content in files:
        name = str(head.filename).replace("\\", "/").rpartition("/")[2]
        kind = head.content_type if head.content_type != "application/octet-stream" else None
        kind = kind or mimetypes.guess_type(name)[0] or "application/octet-stream"
        added.append(jira.add_attachment(issue, name, content, request.user, kind))
    return Answer.json([jira.views.attachment(attachment) for attachment in added])


def _visible(jira: "FakeJira", request: Request, number: str) -> Attachment:
    attachment = jira.store.attachments.get(int(number) if number.isdigit() else 0)
    if attachment is None:
        raise JiraError(404, f"The attachment with id '{number}' does not exist")
    if not sees_issue(request.user, attachment.issue):
        raise JiraError(
            403 if request.user else 401, "You do not have permission to view attachment with id: " + number
        )
    return attachment


@routes.add("GET", "/rest/api/2/attachment/{number}", anonymous=True)
async def read(jira: "FakeJira", request: Request, number: str) -> Answer:
    return Answer.json(jira.views.attachment(_visible(jira, request, number)))


@routes.add("DELETE", "/rest/api/2/attachment/{number}")
async def delete(jira: "FakeJira", request: Request, number: str) -> Answer:
    attachment = _visible(jira, request, number)
    project = attachment.issue.project
    own = attachment.author is request.user and may(request.user, "DELETE_OWN_ATTACHMENTS", project)
    if not own and not may(request.user, "DELETE_ALL_ATTACHMENTS", project):
        raise JiraError(403, f"You do not have permission to delete attachment with id: {number}")
    jira.delete_attachment(attachment, request.user)
    return Answer.empty()


@routes.add("GET", "/rest/api/2/attachment/content/{number}")
async def cloud_content(jira: "FakeJira", request: Request, number: str) -> Answer:
    if not jira.profile.is_cloud:
        return jira.not_found(request)
    attachment = _visible(jira, request, number)
    location = f"{jira.media_url}/media/{attachment.id}?token=signed-{attachment.content.sha256[:16]}"
    return Answer.empty(303, [("Location", location)])


@routes.add("GET", "/media/{number}", anonymous=True)
async def media(jira: "FakeJira", request: Request, number: str) -> Answer:
    """Another host than Jira, which takes the signature of the link and no other login (S3 answers 400 to two)."""
    if not jira.profile.is_cloud or request.header("Host") != urlsplit(jira.media_url).netloc:
        return jira.not_found(request)
    attachment = jira.store.attachments.get(int(number) if number.isdigit() else 0)
    if request.header("Authorization") is not None:
        answer = Answer.text("Only one auth mechanism allowed", 400, "text/plain")
    elif attachment is None or request.parameter("token") != f"signed-{attachment.content.sha256[:16]}":
        answer = Answer.text("no", 403, "text/plain")
    else:
        answer = _bytes_of(attachment)
    answer.plain = True
    return answer


@routes.add("GET", "/secure/attachment/{number}/{name*}", anonymous=True)
@routes.add("GET", "/secure/thumbnail/{number}/{name*}", anonymous=True)
async def download(jira: "FakeJira", request: Request, number: str, name: str) -> Answer:
    attachment = jira.store.attachments.get(int(number) if number.isdigit() else 0)
    by_token = (request.header("Authorization") or "").lower().startswith("bearer")
    if request.user is None or (by_token and not jira.pat_on_servlets):
        return login_redirect(jira, request)
    if attachment is None:
        return jira.page(404, "Not Found")
    if not sees_issue(request.user, attachment.issue):
        return jira.page(403, "Forbidden")
    return _bytes_of(attachment)


@routes.add("GET", "/secure/attachmentzip/{number}.zip", anonymous=True)
async def zipped(jira: "FakeJira", request: Request, number: str) -> Answer:
    issue = jira.store.find_issue(number)
    if request.user is None:
        return login_redirect(jira, request)
    if issue is None or not sees_issue(request.user, issue):
        return jira.page(404 if issue is None else 403, "Attachments")
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for attachment in issue.attachments:
            file.writestr(attachment.filename, attachment.content.read())
    data = archive.getvalue()
    headers = [("Content-Type", "application/zip"), ("Content-Disposition", f'attachment; filename="{issue.key}.zip"')]
    return Answer(200, headers, data, len(data))


def login_redirect(jira: "FakeJira", request: Request) -> Answer:
    """What servlets answer to anonymous callers."""
    destination = quote_plus(request.path)
    location = f"{jira.base_url}/login.jsp?permissionViolation=true&os_destination={destination}"
    return Answer.empty(302, [("Location", location)])


def _bytes_of(attachment: Attachment) -> Answer:
    kind = attachment.mime_type + (";charset=UTF-8" if attachment.mime_type.startswith("text/") else "")
    headers = [
        ("Content-Type", kind),
        ("Content-Disposition", f"attachment; filename*=UTF-8''{quote(attachment.filename)};"),
        ("Cache-Control", "private, must-revalidate, max-age=1209600"),
        ("Last-Modified", attachment.created.strftime("%a, %d %b %Y %H:%M:%S GMT")),
    ]
    return Answer(200, headers, attachment.content.chunks(), attachment.content.size)
