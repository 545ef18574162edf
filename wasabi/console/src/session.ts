/** Where to connect, and the connection. */

import { inWords } from "./closes.js";
import { bridged, direct, type Connection, type Refused, type Target } from "./connection.js";
import type { AsyncApi, Channel } from "./document.js";
import { byId, button, el, freshId } from "./dom.js";
import { byteLength, type Log, type Sent } from "./log.js";
import type { Transcript } from "./transcript.js";

export class Session {
  channel: Channel | undefined;
  transcript: Transcript | undefined;
  private connection: Connection | undefined;
  private began = 0;
  private readonly inputs = new Map<string, HTMLInputElement>();
  private readonly form = byId("connect", "form");
  private readonly state = byId("state", "p");
  private readonly base = byId("base", "input");
  private readonly isDirect = byId("direct", "input");
  private readonly headers = byId("headers", "div");
  private readonly subprotocol = byId("subprotocol", "input");

  constructor(
    document: AsyncApi,
    private readonly log: Log,
    /** A reply to a request came. */
    private readonly replied: (sent: Sent, text: string) => void,
    /** It was opened or has ended. */
    private readonly changed: () => void,
  ) {
    const server = Object.values(document.servers ?? {})[0];
    this.base.value = server
      ? `${server.protocol}://${server.host}${server.pathname ?? ""}`
      : `ws://${location.hostname}:8080`;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.open();
    });
    byId("close", "button").addEventListener("click", () => this.close());
    byId("ping", "button").addEventListener("click", () => {
      this.connection?.ping?.();
      this.log.note("ping sent");
    });
    byId("add-header", "button").addEventListener("click", () => this.addHeader("", "").focus());
    this.isDirect.addEventListener("change", () => this.update());
    this.update();
  }

  get isOpen(): boolean {
    return this.connection !== undefined;
  }

  /** Shows what this channel needs of a handshake. */
  choose(channel: Channel): void {
    if (this.channel === channel) return;
    this.channel = channel;
    this.inputs.clear();
    const fields = [
      ...channel.parameters.map((name) => this.input(`{${name}}`, `parameter ${name}`, name)),
      ...channel.query.map((name) => this.input(`?${name}`, `query ${name}`, "")),
    ];
    byId("handshake", "div").replaceChildren(...fields);
    byId("channel", "p").textContent = channel.docs ? `${channel.path}: ${channel.docs}` : channel.path;
    this.headers.replaceChildren();
    for (const name of channel.headers) this.addHeader(name, "");
    this.subprotocol.value = channel.protocol === "graphql-transport-ws" ? channel.protocol : (channel.subprotocols[0] ?? "");
    this.update();
  }

  /** Sends a text; false if there is no connection. */
  send(text: string): boolean {
    if (!this.connection) return false;
    this.transcript?.lines.push({ ms: this.elapsed(), to: "gateway", text });
    this.connection.send(text);
    return true;
  }

  private input(key: string, label: string, value: string): HTMLElement {
    const control = el("input", { id: freshId(), autocomplete: "off", spellcheck: "false", value });
    this.inputs.set(key, control);
    return el("div", { class: "field" }, el("label", { for: control.id }, label), control);
  }

  private addHeader(name: string, value: string): HTMLInputElement {
    const header = el("input", { "aria-label": "Name of the header", class: "name", value: name, autocomplete: "off", spellcheck: "false" });
    const content = el("input", { "aria-label": "Value of the header", class: "value", value, autocomplete: "off", spellcheck: "false" });
    const row = el("div", { class: "header" }, header, content, button("Remove", () => row.remove()));
    this.headers.append(row);
    return header;
  }

  private target(channel: Channel): Target {
    let path = channel.path;
    const query = new URLSearchParams();
    for (const [key, { value }] of this.inputs) {
      if (key.startsWith("{")) path = path.replace(key, () => value.split("/").map(encodeURIComponent).join("/"));
      else if (value !== "") query.set(key.slice(1), value);
    }
    const rows = [...this.headers.children].map((row) => {
      const [name, value] = row.querySelectorAll("input");
      return [name?.value.trim() ?? "", value?.value ?? ""] as [string, string];
    });
    const offers = this.subprotocol.value.split(",").map((offer) => offer.trim());
    return {
      path: query.size > 0 ? `${path}?${query.toString()}` : path,
      headers: rows.filter(([name]) => name !== ""),
      subprotocols: offers.filter((offer) => offer !== ""),
    };
  }

  private elapsed(): number {
    return performance.now() - this.began;
  }

  private open(): void {
    const { channel, log } = this;
    if (!channel || this.connection) return;
    const target = this.target(channel);
    // The query may have a token.
    const [path = ""] = target.path.split("?", 1);
    this.began = performance.now();
    const transcript: Transcript = { base: this.base.value, target, lines: [] };
    this.transcript = transcript;
    let connection: Connection | undefined;
    let wasRefused = false;
    const events = {
      opened: (subprotocol: string) => {
        this.state.textContent = `Connected to ${path}`;
        log.note(`connected to ${path}${subprotocol ? `, subprotocol ${subprotocol}` : ""}`);
        this.changed();
      },
      refused: ({ status, body }: Refused) => {
        wasRefused = true;
        log.note(`the handshake was refused: ${status}${body ? `, ${body.trim()}` : ""}`, "refused");
      },
      failed: (why: string) => log.note(why, "refused"),
      text: (text: string) => {
        transcript.lines.push({ ms: this.elapsed(), to: "client", text });
        const sent = log.received(text, byteLength(text), channel.id);
        if (sent) this.replied(sent, text);
      },
      binary: (base64: string, bytes: number) => {
        transcript.lines.push({ ms: this.elapsed(), to: "client", base64 });
        log.received(`base64: ${base64}`, bytes, channel.id);
      },
      control: (kind: string, data: string) => log.note(data ? `${kind} received: ${data}` : `${kind} received`),
      closed: (code: number, reason: string) => {
        if (this.connection !== connection) return;
        if (code !== 1006) transcript.lines.push({ ms: this.elapsed(), to: "client", close: { code, reason } });
        const why = reason ? `${inWords(code, channel.closeCodes)} “${reason}”` : inWords(code, channel.closeCodes);
        if (!wasRefused) log.note(`closed with ${code}: ${why}`, "closed");
        log.ended();
        this.connection = undefined;
        this.update();
        this.changed();
      },
    };
    try {
      connection = this.isDirect.checked ? direct(this.base.value, target, events) : bridged(target, events);
    } catch (error) {
      log.note(String(error), "refused");
      return;
    }
    this.connection = connection;
    this.update();
    this.state.textContent = `Connecting to ${path}`;
  }

  private close(): void {
    const code = Number(byId("close-code", "input").value);
    const close = { code, reason: "" };
    this.transcript?.lines.push({ ms: this.elapsed(), to: "gateway", close });
    this.connection?.close(code, close.reason);
  }

  private update(): void {
    const isOpen = this.isOpen;
    if (!isOpen) this.state.textContent = "Not connected";
    byId("open", "button").disabled = isOpen || !this.channel;
    byId("close", "button").disabled = !isOpen;
    byId("ping", "button").disabled = !isOpen || this.isDirect.checked;
    byId("base-field", "div").hidden = !this.isDirect.checked;
    byId("header-field", "fieldset").hidden = this.isDirect.checked;
  }
}
