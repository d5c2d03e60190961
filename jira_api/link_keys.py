"""The one table of JSON keys whose values are Jira's own absolute links.

A key belongs here only when Jira writes its value, never when people do: `url` (webhooks, remote links, project home
pages), `description` and `object` are people's. Sources: recorded answers of Jira 7.13 to 10.3, the WADL of Jira 8.4,
the agile 1.0 and service desk references.
"""

# Ordered by how often they occur in a search answer: the first ones are found fastest.
LINK_KEYS: tuple[bytes, ...] = (
    b"self",  # every resource
    b"16x16", b"24x24", b"32x32", b"48x48",  # avatarUrls.*, urls.* of avatars, _links.avatarUrls.*, _links.iconUrls.*
    b"iconUrl",  # status, priority, issue type, transitions[].to
    b"content", b"thumbnail",  # attachments, also in _links of the service desk
    b"avatarUrl", b"avatarURI",  # user and group pickers; locations of agile boards
    b"baseUrl",  # serverInfo
    b"nextPage", b"prevPage", b"lastPage",  # pages of worklogs and of Cloud
    b"viewUrl", b"searchUrl", b"view",  # filters, dashboards
    b"autoCompleteUrl",  # createmeta, editmeta
    b"jiraRest", b"web", b"agent", b"portal", b"base", b"next", b"prev",  # _links.* of the service desk
    b"iframeSrc",  # its knowledge base
)  # fmt: skip

# In answers about one project, role names (people's words) are keys of role links; the shape of the link decides.
ROLE_LINK_PATH = rb"/rest/api/(?:2|3|latest)/project/[^/\"\\]{1,100}/role/[0-9]{1,19}\""
NOT_ROLE_NAMES: tuple[bytes, ...] = (b"description", b"url", b"name", b"email")
