/** The messages of a connection, as a list: replies stand under their requests. */

import { byId, el } from "./dom.js";
import { at, compact, indented, pointer, tryRead, type Path } from "./json.js";
import type { Route } from "./document.js";

/** How many entries are kept; the oldest go first. */
const MAX_ENTRIES = 500;

/** How much of a message is shown. */
const MAX_SHOWN = 20_000;

/** A request that was sent. */
export interface Sent {
  route: Route | undefined;
  text: string;
  at: number;
  replies: number;
  element: HTMLLIElement;
  list: HTMLOListElement;
  state: HTMLElement;
}

export class Log {
  /** Requests that may get replies, by the text of their ids. */
  private waiting = new Map<string, Sent>();
  private unnamed = 0;

  constructor(private readonly list: HTMLOListElement) {}

  /** Forgets which requests wait: their connection is gone. */
  ended(): void {
    for (const sent of this.waiting.values()) this.done(sent, sent.replies === 0 ? "no reply" : `${sent.replies} replies`);
    this.waiting.clear();
  }

  clear(): void {
    this.list.replaceChildren();
  }

  /** Something that happened. */
  note(text: string, kind = "note"): void {
    this.append(el("li", { class: kind }, this.head("", text)));
  }

  /** A message to the gateway. */
  sent(text: string, route: Route | undefined, cancel: ((id: string) => void) | undefined): Sent {
    const list = el("ol");
    const state = el("span", { class: "state" }, "waiting");
    const element = el("li", { class: "sent" }, this.head("to the gateway", route?.name ?? "", text), body(text), list);
    const id = route?.channel.id ? idOf(text, route.channel.id) : undefined;
    const sent: Sent = { route, text, at: performance.now(), replies: 0, element, list, state };
    element.querySelector(".head")?.append(state);
    if (route && route.counts.length > 0 && route.counts.every((count) => count === "none")) {
      state.textContent = "no reply expected";
    } else {
      this.waiting.set(id ?? `#${++this.unnamed}`, sent);
      if (id !== undefined && cancel) {
        const stop = el("button", { type: "button", class: "cancel", click: () => cancel(id) }, "Cancel");
        element.querySelector(".head")?.append(stop);
      }
    }
    this.append(element);
    return sent;
  }

  /** A message from the gateway. Returns the request that it answers, if that is known. */
  received(text: string, bytes: number, idAt: string | undefined): Sent | undefined {
    const id = idAt === undefined ? undefined : idOf(text, idAt);
    const named = id === undefined ? undefined : this.waiting.get(id);
    // Without ids, only a request that waits alone can be known.
    const alone = idAt === undefined && this.waiting.size === 1 ? [...this.waiting.values()][0] : undefined;
    const of = named ?? alone;
    if (!of) {
      this.append(el("li", { class: "received" }, this.head("from the gateway", "", text, bytes), body(text)));
      return undefined;
    }
    of.replies++;
    const latency = `${(performance.now() - of.at).toFixed(1)} ms after the request`;
    of.list.append(el("li", { class: "received" }, this.head("from the gateway", latency, text, bytes), body(text)));
    while (of.list.childElementCount > MAX_ENTRIES) of.list.firstElementChild?.remove();
    const isOne = of.route?.counts.every((count) => count === "one" || count === "at most one");
    if (isOne || isEnd(text)) this.done(of, of.replies === 1 ? "answered" : `${of.replies} replies`);
    else of.state.textContent = of.replies === 1 ? "1 reply" : `${of.replies} replies`;
    return of;
  }

  private done(sent: Sent, state: string): void {
    sent.state.textContent = state;
    sent.element.querySelector(".cancel")?.remove();
    for (const [id, waiting] of this.waiting) if (waiting === sent) this.waiting.delete(id);
  }

  private head(direction: string, what: string, text?: string, bytes = text === undefined ? 0 : byteLength(text)): HTMLElement {
    const now = new Date();
    const time = el("time", { datetime: now.toISOString() }, now.toISOString().slice(11, 23));
    const head = el("p", { class: "head" }, time, " ");
    if (direction) head.append(el("span", { class: "direction" }, direction), " ");
    if (what) head.append(el("span", { class: "what" }, what), " ");
    if (text !== undefined) head.append(el("span", { class: "size" }, `${bytes} B`), " ");
    return head;
  }

  private append(element: HTMLLIElement): void {
    const box = byId("scroll", "div");
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    this.list.append(element);
    while (this.list.childElementCount > MAX_ENTRIES) this.list.firstElementChild?.remove();
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  }
}

function body(text: string): HTMLPreElement {
  const json = tryRead(text);
  const shown = json && json.kind !== "leaf" ? indented(json) : text;
  const cut = shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}\n… ${shown.length - MAX_SHOWN} characters more` : shown;
  return el("pre", {}, cut);
}

function idOf(text: string, idAt: string): string | undefined {
  const json = tryRead(text);
  const id = at(json, pointer(idAt)) ?? at(json, ["params", "subscription"]);
  return id ? compact(id) : undefined;
}

/** Whether nothing follows in answer to the same request. */
function isEnd(text: string): boolean {
  const json = tryRead(text);
  const type = at(json, ["type"]);
  if (type?.kind === "leaf" && type.text === '"complete"') return true;
  return at(json, ["error"]) !== undefined;
}

/** The number of bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** The message of an error of parameters or of the request, and where in the request it is. */
export function mistakeOf(reply: string, inner: Path): { message: string; line: number; column: number; inner: Path } | undefined {
  const json = tryRead(reply);
  const code = at(json, ["error", "data", "code"]) ?? at(json, ["error", "code"]);
  const message = at(json, ["error", "message"]);
  if (code?.kind !== "leaf" || message?.kind !== "leaf") return undefined;
  if (!['"invalid_params"', '"bad_request"', "-32602"].includes(code.text)) return undefined;
  const text = JSON.parse(message.text) as unknown;
  const place = /line (\d+) column (\d+)/.exec(String(text));
  if (!place) return undefined;
  return { message: String(text), line: Number(place[1]), column: Number(place[2]), inner };
}
