// The npm client jira-client 8: an errand as JSON on standard input, its report as JSON on standard output (errand.py).
import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import JiraApi from "jira-client";

const errand = JSON.parse(readFileSync(0, "utf8"));
const identity = errand.is_cloud ? "accountId" : "name";
const address = new URL(errand.url);

const jira = new JiraApi({
  protocol: address.protocol.replace(":", ""),
  host: address.hostname,
  port: address.port,
  base: address.pathname.replace(/^\/|\/$/g, ""),
  apiVersion: "2",
  ...(errand.login === "basic" ? { username: "any", password: errand.token } : { bearer: errand.token }),
});

async function search() {
  if (errand.is_cloud) return null; // searchJira calls /search, which Cloud has removed
  const keys = [];
  for (let page = {}; keys.length === 0 || keys.length < page.total; ) {
    page = await jira.searchJira(errand.jql, { startAt: keys.length, maxResults: errand.page, fields: ["key"] });
    keys.push(...page.issues.map((issue) => issue.key));
  }
  return keys;
}

async function follow(link) {
  return jira.doRequest(jira.makeRequestHeader(link, { json: false, encoding: null }));
}

const report = {
  me: (await jira.getCurrentUser())[identity],
  projects: (await jira.listProjects()).map((project) => project.key),
};

const made = await jira.addNewIssue({
  fields: { project: { key: "OPS" }, summary: errand.summary, issuetype: { name: "Task" } },
});
const key = made.key;
Object.assign(report, { key, self: made.self });
await jira.updateIssue(key, { fields: { summary: errand.edited } });
await (errand.is_cloud ? jira.updateAssigneeWithId(key, errand.assignee) : jira.updateAssignee(key, errand.assignee));
await jira.addComment(key, errand.remark);
report.before = (await jira.findIssue(key)).fields.status.name;
const [first] = (await jira.listTransitions(key)).transitions;
await jira.transitionIssue(key, { transition: { id: first.id } });
await jira.issueLink({
  type: { name: "Blocks" },
  inwardIssue: { key },
  outwardIssue: { key: errand.neighbour },
});
await jira.addWatcher(key, errand.me);
await jira.addAttachmentOnIssue(key, createReadStream(errand.file));

const { fields } = await jira.findIssue(key);
const [attachment] = fields.attachment;
const [comment] = fields.comment.comments;
Object.assign(report, {
  summary: fields.summary,
  assignee: fields.assignee[identity],
  after: fields.status.name,
  comment: { body: comment.body, self: comment.self },
  linked: fields.issuelinks.map((link) => link.outwardIssue.key),
  watchers: (await jira.getIssueWatchers(key)).watchers.map((watcher) => watcher[identity]),
  found: await search(),
  content: attachment.content,
  sha256: createHash("sha256").update(await follow(attachment.content)).digest("hex"),
});

await jira.deleteAttachment(attachment.id);
report.left = (await jira.findIssue(key)).fields.attachment.length;
await jira.deleteIssue(key);
report.gone = await jira.findIssue(key).then(() => false, (error) => "errorMessages" in JSON.parse(error.message));
process.stdout.write(JSON.stringify(report));
