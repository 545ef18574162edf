/** JSON Schema, draft 07, as far as it leads to a form. */

import { resolve, type AsyncApi } from "./document.js";

export interface Schema {
  $ref?: string;
  type?: string | string[];
  title?: string;
  description?: string;
  const?: unknown;
  enum?: unknown[];
  default?: unknown;
  examples?: unknown[];
  format?: string;
  minimum?: number;
  maximum?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema | Schema[];
  additionalProperties?: Schema | boolean;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
}

/** A schema without references and without `allOf`, as far as objects go. */
export function flat(document: AsyncApi, schema: Schema, depth = 0): Schema {
  if (depth > 16) return {};
  const { $ref, allOf, ...own } = schema;
  const parts = [...(allOf ?? [])];
  if ($ref) parts.unshift(resolve(document, $ref) as Schema);
  return parts.map((part) => flat(document, part ?? {}, depth + 1)).reduceRight(merged, own);
}

function merged(one: Schema, other: Schema): Schema {
  const properties = { ...other.properties };
  for (const [name, schema] of Object.entries(one.properties ?? {})) {
    const known = properties[name];
    properties[name] = known ? { allOf: [known, schema] } : schema;
  }
  const both = { ...other, ...one };
  if (one.properties || other.properties) both.properties = properties;
  if (one.required || other.required) {
    both.required = [...new Set([...(other.required ?? []), ...(one.required ?? [])])];
  }
  return both;
}

/** The types that a value may have, `null` aside. */
export function types(schema: Schema): string[] {
  const types = typeof schema.type === "string" ? [schema.type] : (schema.type ?? []);
  return types.filter((type) => type !== "null");
}

/** What a value is, in words. */
export function words(document: AsyncApi, schema: Schema, depth = 0): string {
  const at = flat(document, schema);
  if (at.const !== undefined) return JSON.stringify(at.const);
  if (at.enum) return `one of ${at.enum.map((value) => JSON.stringify(value)).join(", ")}`;
  const choices = at.oneOf ?? at.anyOf;
  if (choices && depth < 3) return choices.map((choice) => words(document, choice, depth + 1)).join(" or ");
  const all = typeof at.type === "string" ? [at.type] : (at.type ?? []);
  const named = all.map((type) => {
    if (type === "array" && at.items && !Array.isArray(at.items) && depth < 3) {
      return `list of ${words(document, at.items, depth + 1)}`;
    }
    return type;
  });
  const bounds = [
    at.minimum !== undefined ? `at least ${at.minimum}` : "",
    at.maximum !== undefined ? `at most ${at.maximum}` : "",
    at.format ?? "",
  ].filter((part) => part !== "");
  const what = named.join(" or ") || "anything";
  return bounds.length > 0 ? `${what} (${bounds.join(", ")})` : what;
}

/** An example of a value, as a JSON text. */
export function sample(document: AsyncApi, schema: Schema, depth = 0): string {
  const at = flat(document, schema);
  const given = at.examples?.[0] ?? at.default ?? at.const ?? at.enum?.[0];
  if (given !== undefined) return JSON.stringify(given);
  if (depth > 6) return "null";
  const choice = (at.oneOf ?? at.anyOf)?.[0];
  if (choice && !at.properties) return sample(document, choice, depth + 1);
  const all = typeof at.type === "string" ? [at.type] : (at.type ?? []);
  const type = at.properties ? "object" : (types(at)[0] ?? all[0]);
  switch (type) {
    case "object": {
      const required = fixedFirst(document, at, at.required ?? []).map((name) => {
        const value = sample(document, at.properties?.[name] ?? {}, depth + 1);
        return `${JSON.stringify(name)}:${value}`;
      });
      return `{${required.join(",")}}`;
    }
    case "array":
      return "[]";
    case "integer":
    case "number":
      return String(at.minimum ?? 0);
    case "boolean":
      return "false";
    case "string":
      return JSON.stringify(TEXTS[at.format ?? ""] ?? "text");
    default:
      return "null";
  }
}

/** The names of members, those first that can have one value only, such as the key of a message. */
export function fixedFirst(document: AsyncApi, schema: Schema, names: string[]): string[] {
  const rank = (name: string) => (flat(document, schema.properties?.[name] ?? {}).const === undefined ? 1 : 0);
  return names.toSorted((one, other) => rank(one) - rank(other));
}

const TEXTS: Record<string, string> = {
  date: "2026-01-31",
  "date-time": "2026-01-31T12:00:00Z",
  email: "ada@example.com",
  ipv4: "192.0.2.1",
  uri: "https://example.com/",
  uuid: "00000000-0000-4000-8000-000000000000",
};
