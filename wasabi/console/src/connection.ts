/** A connection to the gateway: by the bridge of the admin listener, or straight from the browser. */

export interface Target {
  path: string;
  headers: [string, string][];
  subprotocols: string[];
}

export interface Refused {
  status: number;
  headers: [string, string][];
  body: string;
}

/** What happens on a connection. */
export interface Events {
  opened(subprotocol: string): void;
  refused(refused: Refused): void;
  /** Something cannot be done. */
  failed(why: string): void;
  text(text: string): void;
  binary(base64: string, bytes: number): void;
  control(kind: "ping" | "pong", data: string): void;
  /** The connection has ended. Comes once, also after `refused`. */
  closed(code: number, reason: string): void;
}

export interface Connection {
  send(text: string): void;
  /** Sends a ping; browsers cannot, so only by the bridge. */
  ping?: (() => void) | undefined;
  close(code: number, reason: string): void;
}

/** Connects by the bridge: with any header, and with the answer to a refused handshake. */
export function bridged(target: Target, events: Events): Connection {
  const url = new URL("/console/bridge", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  const tell = (said: unknown) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(said));
  };
  let ended = false;
  const end = (code: number, reason: string) => {
    if (!ended) events.closed(code, reason);
    ended = true;
  };
  socket.onopen = () => tell({ connect: target });
  socket.onclose = () => end(1006, "the admin listener is gone");
  socket.onmessage = ({ data }: MessageEvent<string>) => {
    const event = JSON.parse(data) as Bridged;
    if (event.opened) {
      const named = event.opened.headers.find(([name]) => name === "sec-websocket-protocol");
      events.opened(named?.[1] ?? "");
    } else if (event.refused) {
      events.refused(event.refused);
      end(1006, "the handshake was refused");
    } else if (event.text !== undefined) {
      events.text(event.text);
    } else if (event.base64 !== undefined) {
      events.binary(event.base64, atob(event.base64).length);
    } else if (event.closed) {
      end(event.closed.code, event.closed.reason);
    } else if (event.failed !== undefined) {
      events.failed(event.failed);
    } else {
      events.control(event.ping === undefined ? "pong" : "ping", event.ping ?? event.pong ?? "");
    }
  };
  return {
    send: (text) => tell({ text }),
    ping: () => tell({ ping: "console" }),
    close: (code, reason) => tell({ close: { code, reason } }),
  };
}

/** What the bridge says: one of these. */
interface Bridged {
  opened?: { headers: [string, string][] };
  refused?: Refused;
  failed?: string;
  text?: string;
  base64?: string;
  ping?: string;
  pong?: string;
  closed?: { code: number; reason: string };
}

/** Connects straight from the browser, as a page of the admin listener's origin. */
export function direct(base: string, target: Target, events: Events): Connection {
  const socket = new WebSocket(base.replace(/\/$/, "") + target.path, target.subprotocols);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => events.opened(socket.protocol);
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (typeof data === "string") return events.text(data);
    const bytes = new Uint8Array(data);
    events.binary(btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")), bytes.length);
  };
  socket.onclose = ({ code, reason }) => events.closed(code, reason);
  return {
    send: (text) => socket.send(text),
    close: (code, reason) => {
      try {
        socket.close(code, reason);
      } catch {
        events.failed("a browser may close only with 1000 or 3000 to 4999");
      }
    },
  };
}
