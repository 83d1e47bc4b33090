// Client of the Mailtura API. Paths, bodies and answers are typed by openapi.yaml:
//
//   const mailtura = createMailtura({ url: "http://127.0.0.1:8080", key: "mt_live_…" });
//   const { data, error } = await mailtura.POST("/api/v1/emails", {
//     body: { to: "ada@example.com", subject: "Hello", text: "Hello Ada" },
//   });
//   if (error) console.error(error.code, error.detail);
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

/** Bodies and answers by name, such as Schemas["Email"]. */
export type Schemas = components["schemas"];

/** A problem document (RFC 9457): every answer that is an error. */
export type Problem = Schemas["Problem"];

export interface Options {
  /** Address of the installation, without /api/v1. */
  url: string;
  /** An operator key (mt_op_…) or a tenant key (mt_live_…). */
  key: string;
  /** The tenant that an operator key speaks for. A tenant key needs none. */
  tenantId?: string;
  /** Another fetch than the global one. */
  fetch?: (request: Request) => Promise<Response>;
}

/** Makes a client for one key. */
export function createMailtura({ url, key, tenantId, fetch }: Options): Client<paths> {
  const headers: Record<string, string> = { Authorization: `Bearer ${key}` };
  if (tenantId) headers["X-Tenant-ID"] = tenantId;
  return createClient<paths>({ baseUrl: url, headers, ...(fetch ? { fetch } : {}) });
}
