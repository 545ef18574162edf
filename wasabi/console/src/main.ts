/** The console: routes, a request, and what is said on the connection. */

import { channels, type AsyncApi, type Channel, type Route } from "./document.js";
import { button, byId, el } from "./dom.js";
import { Log } from "./log.js";
import { RequestPane } from "./request.js";
import { Session } from "./session.js";
import { watch } from "./status.js";
import { asCommands, asLines, asRust, asTest, asTypeScript, type Transcript } from "./transcript.js";

async function main(): Promise<void> {
  const response = await fetch("/console/document.json");
  const api = (await response.json()) as AsyncApi;
  document.title = `${api.info.title} console`;
  byId("title", "h1").textContent = `${api.info.title} ${api.info.version}`;
  const log = new Log(byId("log", "ol"));
  const pane = new RequestPane(api);
  const send = byId("send", "button");
  const session = new Session(
    api,
    log,
    (sent, text) => {
      if (sent.route === pane.route) pane.mark(sent.text, text);
    },
    () => (send.disabled = !session.isOpen),
  );
  const all = channels(api);
  const choose = (route: Route, link: HTMLButtonElement) => {
    for (const other of document.querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    session.choose(route.channel);
    pane.show(route);
    byId("chosen", "section").hidden = false;
  };
  list(all, choose);
  send.addEventListener("click", () => {
    const text = pane.take();
    if (session.send(text)) log.sent(text, pane.route, canceller(session, log, pane.route?.channel));
  });
  byId("clear", "button").addEventListener("click", () => log.clear());
  offer(session);
  watch();
}

/** The routes of all channels, and what is typed to find some. */
function list(all: Channel[], choose: (route: Route, link: HTMLButtonElement) => void): void {
  const find = byId("find", "input");
  const parts = all.map((channel) => {
    const items = channel.routes.map((route) => {
      const link = button(route.name, () => choose(route, link));
      return { item: el("li", {}, link), text: `${route.name} ${route.docs}`.toLowerCase() };
    });
    const unasked = channel.sends.map((route) => ({
      item: el("li", { class: "unasked" }, `${route.name}, sent by the gateway`),
      text: `${route.name} ${route.docs}`.toLowerCase(),
    }));
    const rows = [...items, ...unasked];
    const section = el("section", {}, el("h2", {}, channel.path), el("ul", {}, ...rows.map(({ item }) => item)));
    return { section, rows, path: channel.path.toLowerCase() };
  });
  byId("routes", "div").replaceChildren(...parts.map(({ section }) => section));
  find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    for (const { section, rows, path } of parts) {
      for (const { item, text } of rows) item.hidden = !text.includes(wanted) && !path.includes(wanted);
      section.hidden = rows.every(({ item }) => item.hidden);
    }
  });
  byId("routes", "div").querySelector("button")?.click();
}

/** How a request is cancelled on this channel, if its protocol says how. */
function canceller(session: Session, log: Log, channel: Channel | undefined): ((id: string) => void) | undefined {
  const message = (id: string) => {
    if (channel?.protocol === "JSON-RPC 2.0") return `{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":${id}}}`;
    if (channel?.protocol === "graphql-transport-ws") return `{"id":${id},"type":"complete"}`;
    return undefined;
  };
  if (message("0") === undefined) return undefined;
  return (id) => {
    if (session.send(message(id) ?? "")) log.note(`cancelled ${id}`);
  };
}

/** Copies of what was said. */
function offer(session: Session): void {
  const dialog = byId("copy", "dialog");
  const text = byId("copy-text", "textarea");
  const ways: [string, (transcript: Transcript) => string][] = [
    ["test", (transcript) => `${asTest(transcript)}\n// transcript.jsonl:\n${asLines(transcript).replace(/^(?=.)/gm, "// ")}`],
    ["transcript", asLines],
    ["curl and wscat", asCommands],
    ["TypeScript", asTypeScript],
    ["Rust", asRust],
  ];
  for (const [name, write] of ways) {
    const copy = button(name, () => {
      if (!session.transcript) return;
      text.value = write(session.transcript);
      byId("copy-title", "h2").textContent = `Copy as ${name}`;
      byId("copied", "p").textContent = "";
      dialog.showModal();
      text.select();
    });
    byId("copies", "span").append(copy, " ");
  }
  byId("copy-now", "button").addEventListener("click", () => {
    text.select();
    // Over plain HTTP from another machine, browsers offer no clipboard: the text is selected.
    const copied = navigator.clipboard ? navigator.clipboard.writeText(text.value) : Promise.reject(new Error());
    void copied.then(
      () => (byId("copied", "p").textContent = "Copied."),
      () => (byId("copied", "p").textContent = "Press Ctrl+C: the text is selected."),
    );
  });
  byId("copy-close", "button").addEventListener("click", () => dialog.close());
}

main().catch((error: unknown) => {
  byId("title", "h1").textContent = `The console cannot start: ${String(error)}`;
});
