// The npm client jira.js 5: an errand as JSON on standard input, its report as JSON on standard output (errand.py).
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { Version2Client } from "jira.js";

const errand = JSON.parse(readFileSync(0, "utf8"));
const identity = errand.is_cloud ? "accountId" : "name";

const jira = new Version2Client({
  host: errand.url,
  authentication:
    errand.login === "basic"
      ? { basic: { email: "any", apiToken: errand.token } }
      : { oauth2: { accessToken: errand.token } },
});

async function projects() {
  if (errand.is_cloud) return (await jira.projects.searchProjects()).values;
  return jira.sendRequest({ url: "/rest/api/2/project", method: "GET" }); // 5 has no method for the flat list
}

async function assign(issueIdOrKey) {
  if (errand.is_cloud) return jira.issues.assignIssue({ issueIdOrKey, accountId: errand.assignee });
  return jira.issues.assignIssue({ issueIdOrKey, name: errand.assignee });
}

async function search() {
  const { jql, page: maxResults } = errand;
  const keys = [];
  for (let page = {}; keys.length === 0 || page.nextPageToken || keys.length < page.total; ) {
    page = errand.is_cloud
      ? await jira.issueSearch.searchForIssuesUsingJqlEnhancedSearch({
          jql, maxResults, fields: ["key"], nextPageToken: page.nextPageToken,
        })
      : await jira.issueSearch.searchForIssuesUsingJql({ jql, maxResults, fields: ["key"], startAt: keys.length });
    keys.push(...page.issues.map((issue) => issue.key));
  }
  return keys;
}

const report = {
  me: (await jira.myself.getCurrentUser())[identity],
  projects: (await projects()).map((project) => project.key),
};

const made = await jira.issues.createIssue({
  fields: { project: { key: "OPS" }, summary: errand.summary, issuetype: { name: "Task" } },
});
const issueIdOrKey = made.key;
Object.assign(report, { key: made.key, self: made.self });
await jira.issues.editIssue({ issueIdOrKey, fields: { summary: errand.edited } });
await assign(issueIdOrKey);
await jira.issueComments.addComment({ issueIdOrKey, comment: errand.remark });
report.before = (await jira.issues.getIssue({ issueIdOrKey })).fields.status.name;
const [first] = (await jira.issues.getTransitions({ issueIdOrKey })).transitions;
await jira.issues.doTransition({ issueIdOrKey, transition: { id: first.id } });
await jira.issueLinks.linkIssues({
  type: { name: "Blocks" },
  inwardIssue: { key: made.key },
  outwardIssue: { key: errand.neighbour },
});
await jira.issueWatchers.addWatcher({ issueIdOrKey, accountId: JSON.stringify(errand.me) });
await jira.issueAttachments.addAttachment({
  issueIdOrKey,
  attachment: { filename: basename(errand.file), file: readFileSync(errand.file) },
});

const { fields } = await jira.issues.getIssue({ issueIdOrKey });
const [attachment] = fields.attachment;
const [comment] = fields.comment.comments;
const bytes = await jira.sendRequest({ url: attachment.content, method: "GET", responseType: "arraybuffer" });
Object.assign(report, {
  summary: fields.summary,
  assignee: fields.assignee[identity],
  after: fields.status.name,
  comment: { body: comment.body, self: comment.self },
  linked: fields.issuelinks.map((link) => link.outwardIssue.key),
  watchers: (await jira.issueWatchers.getIssueWatchers(issueIdOrKey)).watchers.map((watcher) => watcher[identity]),
  found: await search(),
  content: attachment.content,
  sha256: createHash("sha256").update(Buffer.from(bytes)).digest("hex"),
});

await jira.issueAttachments.removeAttachment(attachment.id);
report.left = (await jira.issues.getIssue({ issueIdOrKey })).fields.attachment.length;
await jira.issues.deleteIssue(issueIdOrKey);
report.gone = await jira.issues.getIssue({ issueIdOrKey }).then(() => false, (error) => error.status === 404);
process.stdout.write(JSON.stringify(report));
