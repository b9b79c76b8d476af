// What limits refuse, as the official Node SDK tells it. Reads connection.json of the scenario `limits`, after limits.py has used
// the limits up.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { busyhourClient } from "./busyhour-client.mjs";

const connection = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const [name, code] of [["refused", 10004], ["slow", 22005]]) {
  const tenant = connection.tenants.find((tenant) => tenant.name === name);
  const tel = busyhourClient(connection.api, tenant.account_sid, tenant.auth_token);
  const call = { to: "+15553000009", from: tenant.numbers[0], twiml: "<Response/>" };
  await assert.rejects(tel.calls.create(call), (error) => error.code === code && error.status === 400);
}
console.log(JSON.stringify({ node: "ok" }));
