// Drives a running Busyhour with the official Node SDK; any surprise is an exception.
// Reads connection.json (its path is the one argument), as `busyhour demo --keep` writes it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import twilio from "twilio";
import { busyhourClient } from "./busyhour-client.mjs";

const connection = JSON.parse(readFileSync(process.argv[2], "utf8"));
const [mine, other] = connection.tenants;
const document = "<Response><Say>Hello from Busyhour.</Say><Hangup/></Response>";
const FINAL = new Set(["completed", "busy", "no-answer", "failed", "canceled"]);

const client = (account, token) => busyhourClient(connection.api, account, token);

/** The call must be refused with this code, in the SDK's own exception class. */
async function refused(code, status, promise) {
  await assert.rejects(promise, (error) => error.code === code && error.status === status);
}

/** Waits for the condition, at most so long. */
async function until(condition, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `${condition} did not hold in ${seconds} s`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

const tel = client(mine.account_sid, mine.auth_token);
const from = mine.numbers[0];

const made = await tel.calls.create({ to: "+15550100002", from, twiml: document });
assert.match(made.sid, /^CA[0-9a-f]{32}$/);
assert.equal(made.status, "queued");
assert.equal(typeof made.queueTime, "string");
const ended = await until(async () => {
  const call = await tel.calls(made.sid).fetch();
  return FINAL.has(call.status) && call;
});
assert.ok(ended.dateCreated instanceof Date && !Number.isNaN(ended.dateCreated.valueOf()));

const burst = [];
for (let n = 30; n < 38; n += 1) {
  burst.push(await tel.calls.create({ to: `+155501000${n}`, from, twiml: document }));
}
await tel.calls(burst.at(-1).sid).update({ status: "canceled" });
await until(async () => (await tel.calls(burst.at(-1).sid).fetch()).status === "canceled");
const listed = await tel.calls.list({ pageSize: 3, limit: 9 });
assert.equal(new Set(listed.map((call) => call.sid)).size, 9);
assert.equal(listed[0].sid, burst.at(-1).sid);
const first = await tel.calls.page({ pageSize: 4 });
const second = await first.nextPage();
const back = await second.previousPage();
assert.deepEqual(back.instances.map((call) => call.sid), first.instances.map((call) => call.sid));
for (const call of burst) {
  await until(async () => FINAL.has((await tel.calls(call.sid).fetch()).status));
}

await refused(20003, 401, client(mine.account_sid, "wrong").calls.list({ limit: 1 }));
await refused(20404, 404, client(other.account_sid, other.auth_token).calls(made.sid).fetch());
await refused(21201, 400, tel.calls.create({ to: "", from, twiml: document }));
await refused(21205, 400, tel.calls.create({ to: "+15550100001", from, url: "ftp://x/y" }));

// Messages: create, fetch, wait for the end, take the text out, delete.
const MESSAGE_FINAL = new Set(["delivered", "undelivered", "failed", "canceled"]);
const to = "+15550109998";
const message = await tel.messages.create({ to, from, body: "y".repeat(307) });
assert.match(message.sid, /^SM[0-9a-f]{32}$/);
assert.deepEqual([message.status, message.numSegments, message.price], ["queued", "3", null]);
const arrived = await until(async () => {
  const now = await tel.messages(message.sid).fetch();
  return MESSAGE_FINAL.has(now.status) && now;
});
assert.ok(arrived.dateSent instanceof Date && !Number.isNaN(arrived.dateSent.valueOf()));
assert.deepEqual((await tel.messages.list({ to, limit: 5 })).map((m) => m.sid), [message.sid]);
assert.equal((await tel.messages(message.sid).update({ body: "" })).body, "");
const sendAt = new Date(Date.now() + 86_400_000);
const later = await tel.messages.create({ to, from, body: "later", scheduleType: "fixed", sendAt });
assert.equal(later.status, "scheduled");
assert.equal((await tel.messages(later.sid).update({ status: "canceled" })).status, "canceled");
assert.deepEqual(await tel.messages(message.sid).media.list({ limit: 5 }), []);
assert.equal(await tel.messages(message.sid).remove(), true);
await refused(20404, 404, tel.messages(message.sid).fetch());
if (connection.inbound_message) {
  const came = await until(async () => {
    const now = await tel.messages(connection.inbound_message).fetch();
    return now.status === "received" && now;
  });
  assert.deepEqual([came.direction, came.body], ["inbound", "Hello?"]);
  const answers = await tel.messages.list({ from, to: came.from });
  assert.deepEqual(answers.map((m) => [m.direction, m.body]), [["outbound-reply", "Hello to you."]]);
}

// Consents in bulk: a verdict for each; who opts out gets nothing until they opt in.
async function consents(...items) {
  const made = items.map(([contact_id, status], n) => ({
    contact_id, correlation_id: String(n).padStart(32, "0"), sender_id: from, status, source: "offline",
  }));
  const { items: answers } = await tel.accounts.v1.bulkConsents.create({ items: made });
  assert.deepEqual(answers.map((one) => one.correlation_id), made.map((one) => one.correlation_id));
  return answers.map((one) => one.error_code);
}
const leaver = "+15550109996";
assert.deepEqual(await consents([leaver, "opt-out"], ["nobody", "opt-out"]), [0, 21211]);
await refused(21610, 400, tel.messages.create({ to: leaver, from, body: "x" }));
assert.deepEqual(await consents([leaver, "opt-in"]), [0]);
assert.match((await tel.messages.create({ to: leaver, from, body: "x" })).sid, /^SM/);

await refused(21211, 400, tel.messages.create({ to: "nobody", from, body: "x" }));
await refused(21606, 400, tel.messages.create({ to, from: "+15559999999", body: "x" }));
await refused(21617, 400, tel.messages.create({ to, from, body: "x".repeat(1601) }));

let signatures = 0;
for (const sample of connection.signature_samples ?? []) {
  assert.ok(twilio.validateRequest(mine.auth_token, sample.signature, sample.url, sample.params));
  signatures += 1;
}
console.log(JSON.stringify({ node: "ok", calls: burst.length + 1, signatures }));
