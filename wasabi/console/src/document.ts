/** What the console needs of a gateway's AsyncAPI document. */

import type { Schema } from "./schema.js";

/** The document, as far as the console reads it. */
export interface AsyncApi {
  info: { title: string; version: string; description?: string };
  servers?: Record<string, { host: string; protocol: string; pathname?: string }>;
  channels: Record<string, ChannelObject>;
  operations: Record<string, OperationObject>;
  components?: { schemas?: Record<string, Schema> };
}

interface Reference {
  $ref: string;
}

interface ChannelObject {
  address: string;
  summary?: string;
  description?: string;
  parameters?: Record<string, unknown>;
  bindings?: { ws?: { query?: Schema; headers?: Schema } };
  messages: Record<string, MessageObject>;
  "x-wasabi"?: {
    protocol?: string;
    key?: string;
    id?: string;
    subprotocols?: string[];
    limits?: Record<string, unknown>;
    closeCodes?: Record<string, string>;
  };
}

interface MessageObject {
  name?: string;
  summary?: string;
  contentType?: string;
  payload: Schema;
}

interface OperationObject {
  action: "send" | "receive";
  channel: Reference;
  summary?: string;
  description?: string;
  messages: Reference[];
  reply?: { messages?: Reference[] };
  "x-wasabi"?: {
    route?: string;
    target?: string[];
    middleware?: string[];
    notes?: string[];
    replies?: string[];
    errors?: { known: string[]; open: boolean };
  };
}

/** A channel with the routes that are reached over it. */
export interface Channel {
  path: string;
  docs: string;
  parameters: string[];
  query: string[];
  headers: string[];
  subprotocols: string[];
  protocol: string | undefined;
  id: string | undefined;
  limits: [string, string][];
  closeCodes: Record<string, string>;
  routes: Route[];
  sends: Route[];
}

/** A message that clients may send, and what comes of it; or one that they get unasked. */
export interface Route {
  channel: Channel;
  name: string;
  docs: string;
  request: MessageObject;
  replies: MessageObject[];
  /** How many replies there are. */
  counts: string[];
  errors: { known: string[]; open: boolean };
  targets: string[];
  middleware: string[];
  notes: string[];
}

/** The value of a reference within the document. */
export function resolve(document: AsyncApi, reference: string): unknown {
  const steps = reference.replace(/^#\//, "").split("/");
  return steps.reduce<unknown>((value, step) => {
    const name = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
    return (value as Record<string, unknown> | undefined)?.[name];
  }, document);
}

/** The channels with their routes, in the order of the document. */
export function channels(document: AsyncApi): Channel[] {
  const found = new Map<string, Channel>();
  for (const [id, object] of Object.entries(document.channels)) found.set(id, channel(object));
  for (const operation of Object.values(document.operations)) {
    const of = found.get(operation.channel.$ref.replace("#/channels/", ""));
    if (!of) continue;
    const messages = (references: Reference[] = []) =>
      references.flatMap(({ $ref }) => {
        const message = resolve(document, $ref) as MessageObject | undefined;
        return message ? [{ ...message, name: message.name ?? $ref.split("/").at(-1) ?? "message" }] : [];
      });
    const more = operation["x-wasabi"] ?? {};
    for (const request of messages(operation.messages)) {
      const route: Route = {
        channel: of,
        name: request.name,
        docs: operation.description ?? operation.summary ?? "",
        request,
        replies: messages(operation.reply?.messages),
        counts: more.replies ?? [],
        errors: more.errors ?? { known: [], open: true },
        targets: more.target ?? [],
        middleware: more.middleware ?? [],
        notes: more.notes ?? [],
      };
      (operation.action === "receive" ? of.routes : of.sends).push(route);
    }
  }
  return [...found.values()];
}

function channel(object: ChannelObject): Channel {
  const more = object["x-wasabi"] ?? {};
  const names = (schema: Schema | undefined) => Object.keys(schema?.properties ?? {});
  return {
    path: object.address,
    docs: object.description ?? object.summary ?? "",
    parameters: Object.keys(object.parameters ?? {}),
    query: names(object.bindings?.ws?.query),
    headers: names(object.bindings?.ws?.headers),
    subprotocols: more.subprotocols ?? [],
    protocol: more.protocol,
    id: more.id ?? (more.protocol ? "/id" : undefined),
    limits: Object.entries(more.limits ?? {}).map(([name, value]) => [name, String(value)]),
    closeCodes: more.closeCodes ?? {},
    routes: [],
    sends: [],
  };
}
