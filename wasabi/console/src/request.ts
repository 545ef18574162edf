/** The request that is being written: its form, its text, and what is known of its route. */

import type { AsyncApi, Route } from "./document.js";
import { byId, el } from "./dom.js";
import { field, unmark, type Field } from "./form.js";
import { at, indented, offsetOf, pathAt, pointer, tryRead, withValue, type Path } from "./json.js";
import { mistakeOf } from "./log.js";
import { flat, sample, types, words } from "./schema.js";

export class RequestPane {
  route: Route | undefined;
  private form: Field | undefined;
  private readonly text = byId("text", "textarea");
  private readonly fields = byId("fields", "div");
  private readonly freshIds = byId("fresh-ids", "input");
  private nextId = 1;

  constructor(private readonly document: AsyncApi) {
    this.text.addEventListener("input", () => this.textChanged());
  }

  /** Shows a route, with an example of its message. */
  show(route: Route): void {
    this.route = route;
    byId("route-title", "h2").textContent = route.name;
    byId("route-docs", "p").textContent = route.docs;
    byId("facts", "dl").replaceChildren(...this.facts(route));
    const payload = flat(this.document, route.request.payload);
    this.form = payload.properties
      ? field(this.document, route.name, payload, true, () => this.formChanged())
      : undefined;
    this.fields.replaceChildren(...(this.form ? [this.form.element] : []));
    byId("fresh-ids-label", "label").hidden = !this.idPath();
    const example = sample(this.document, route.request.payload);
    const isText = route.request.contentType === "text/plain";
    this.text.value = isText ? (JSON.parse(example) as string) : example;
    if (this.form && this.idPath()) this.text.value = this.withFreshId(this.text.value);
    this.form?.fill(tryRead(this.text.value));
    this.indent();
  }

  /** The message to send now. */
  take(): string {
    unmark(this.fields);
    if (!this.freshIds.checked || !this.idPath()) return this.text.value;
    this.text.value = this.withFreshId(this.text.value);
    this.nextId++;
    this.form?.fill(tryRead(this.text.value));
    return this.text.value;
  }

  /** Shows the mistake that a reply tells of at the field that has it. */
  mark(sent: string, reply: string): void {
    const mistake = mistakeOf(reply, this.route?.channel.protocol === "JSON-RPC 2.0" ? ["params"] : []);
    const whole = tryRead(sent);
    const json = at(whole, mistake?.inner ?? []);
    if (!mistake || !whole || !json || !this.form) return;
    const begin = mistake.inner.length > 0 ? json.from : 0;
    const offset = begin + offsetOf(sent.slice(begin), mistake.line, mistake.column);
    const path: Path = pathAt(whole, offset);
    const named = /(?:missing|unknown) field `([^`]*)`/.exec(mistake.message)?.[1];
    if (named !== undefined && this.form.mark([...path, named], mistake.message)) return;
    this.form.mark(path, mistake.message);
  }

  private formChanged(): void {
    const text = this.form?.text();
    if (text !== undefined) this.text.value = text;
    this.indent();
  }

  private textChanged(): void {
    const json = tryRead(this.text.value);
    if (json) this.form?.fill(json);
    const isJson = json !== undefined || this.form === undefined;
    byId("text-mistake", "small").textContent = isJson ? "" : "This is not JSON; it is sent as it is.";
  }

  private indent(): void {
    const json = tryRead(this.text.value);
    if (json) this.text.value = indented(json);
    this.textChanged();
  }

  private idPath(): string[] | undefined {
    const id = this.route?.channel.id;
    const isJson = this.form !== undefined;
    return id !== undefined && isJson ? pointer(id) : undefined;
  }

  private withFreshId(text: string): string {
    const path = this.idPath();
    if (!path || !this.route) return text;
    const payload = path.reduce(
      (schema, step) => flat(this.document, schema.properties?.[step] ?? {}),
      flat(this.document, this.route.request.payload),
    );
    const may = types(payload);
    const isNumber = may.length === 0 || may.includes("number") || may.includes("integer");
    return withValue(text, path, isNumber ? String(this.nextId) : `"${this.nextId}"`);
  }

  private facts(route: Route): HTMLElement[] {
    const { channel } = route;
    const errors = [...route.errors.known, ...(route.errors.open ? ["and others"] : [])];
    const reply = route.replies
      .filter((message) => message.name !== "error")
      .map((message) => `${message.name ?? "message"}: ${words(this.document, message.payload)}`);
    const facts: [string, string][] = [
      ["Replies", [route.counts.join(" or "), ...reply].filter((part) => part !== "").join("; ")],
      ["Error codes", errors.join(", ")],
      ["Goes to", route.targets.join(", ")],
      ["Middleware", route.middleware.join(", ")],
      ["Limits", channel.limits.map(([name, value]) => `${name} ${value}`).join(", ")],
      ["Notes", route.notes.join("; ")],
    ];
    return facts.filter(([, value]) => value !== "").flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
  }
}
