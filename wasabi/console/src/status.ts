/** What the server does at the moment. */

import { byId } from "./dom.js";

interface Status {
  connections: number;
  channels: { channel: string; connections: number; in_flight: number }[];
  waiting_reply_bytes: number;
  draining: boolean;
  breakers: { route: string; state: string }[];
}

/** Shows the server's state every few seconds while the page is seen, and one connection when asked. */
export function watch(): void {
  void show();
  setInterval(() => {
    if (!document.hidden) void show();
  }, 3000);
  byId("lookup", "form").addEventListener("submit", (event) => {
    event.preventDefault();
    void lookUp();
  });
}

function count(things: number, name: string): string {
  return things === 1 ? `1 ${name}` : `${things} ${name}s`;
}

async function show(): Promise<void> {
  const line = byId("status", "p");
  try {
    const status = (await (await fetch("/console/status.json")).json()) as Status;
    const breakers = status.breakers.map(({ route, state }) => `breaker of ${route}: ${state}`);
    const parts = [
      count(status.connections, "connection"),
      ...status.channels.map(
        ({ channel, connections, in_flight }) =>
          `${channel}: ${count(connections, "connection")}, ${count(in_flight, "request")} in flight`,
      ),
      `${status.waiting_reply_bytes} B of replies waiting`,
      ...(status.draining ? ["draining"] : []),
      ...breakers,
    ];
    line.textContent = parts.join(" · ");
  } catch {
    line.textContent = "The server does not answer.";
  }
}

async function lookUp(): Promise<void> {
  const found = byId("found", "pre");
  const id = byId("connection-id", "input").value.trim();
  try {
    const response = await fetch(`/console/connections/${encodeURIComponent(id)}`);
    found.textContent = response.ok ? JSON.stringify(await response.json(), null, 2) : await response.text();
  } catch {
    found.textContent = "The server does not answer.";
  }
}
