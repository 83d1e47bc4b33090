// Runs against a running installation: MAILTURA_URL and MAILTURA_OPERATOR_KEY say where.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createMailtura } from "../dist/index.js";

const url = process.env.MAILTURA_URL;
const key = process.env.MAILTURA_OPERATOR_KEY;

test("a tenant is made, sends, and is told what became of it", async () => {
  const operator = createMailtura({ url, key });
  const created = await operator.POST("/api/v1/tenants", {
    body: { name: `ts-${process.pid}`, domain: "acme.com", settings: { fromEmail: "noreply@acme.com" } },
  });
  assert.equal(created.error, undefined);
  const tenantId = created.data.id;

  const made = await createMailtura({ url, key, tenantId }).POST("/api/v1/api-keys", { body: { name: "test" } });
  const mailtura = createMailtura({ url, key: made.data.key });
  const accepted = await mailtura.POST("/api/v1/emails", {
    body: { to: ["Ada <ada@example.com>", "bob@example.com"], subject: "Hello", text: "Hello from TypeScript" },
  });
  assert.equal(accepted.response.status, 202);

  let email;
  for (let i = 0; i < 200 && email?.status !== "sent"; i++) {
    await pause(50);
    ({ data: email } = await mailtura.GET("/api/v1/emails/{id}", { params: { path: { id: accepted.data.id } } }));
  }
  assert.equal(email.status, "sent");
  assert.equal(email.recipients.length, 2);
});

test("an error is a problem document", async () => {
  const { error, response } = await createMailtura({ url, key: "mt_live_nonsense" }).GET("/api/v1/usage");
  assert.equal(response.status, 401);
  assert.equal(error.code, "invalid_key");
});
