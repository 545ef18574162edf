/** What was said on a connection, and what can be made of it elsewhere. */

import type { Target } from "./connection.js";
import { compact, tryRead, type Json } from "./json.js";

/** One message or close. */
export interface Line {
  ms: number;
  to: "gateway" | "client";
  text?: string;
  base64?: string;
  close?: { code: number; reason: string };
}

/** A connection from its handshake on. */
export interface Transcript {
  base: string;
  target: Target;
  lines: Line[];
}

const HIDDEN = "***";

/** The names of secrets, as `wasabi::testing::Transcript` knows them. */
function isSecret(name: string): boolean {
  const lower = name.toLowerCase();
  const parts = ["token", "password", "secret", "api_key", "apikey", "authorization"];
  return lower === "cookie" || parts.some((part) => lower.includes(part));
}

function shownPath(path: string): string {
  const [before, query] = path.split("?", 2);
  if (query === undefined) return path;
  const shown = query.split("&").map((pair) => {
    const [name = "", value] = pair.split("=", 2);
    return value !== undefined && isSecret(decodeURIComponent(name)) ? `${name}=${HIDDEN}` : pair;
  });
  return `${before}?${shown.join("&")}`;
}

function shownHeaders(headers: [string, string][]): [string, string][] {
  return headers.map(([name, value]) => [name.toLowerCase(), isSecret(name) ? HIDDEN : value]);
}

function shownSubprotocols(subprotocols: string[]): string[] {
  return subprotocols.map((offer) => (offer.startsWith("bearer.") ? HIDDEN : offer));
}

/** A message as it was written, but for its secrets. */
function shownText(text: string): string {
  const secrets = secretsOf(tryRead(text)).sort((one, other) => other.from - one.from);
  return secrets.reduce((shown, { from, to }) => shown.slice(0, from) + JSON.stringify(HIDDEN) + shown.slice(to), text);
}

/** The values whose names are those of secrets. */
function secretsOf(json: Json | undefined): Json[] {
  if (json?.kind === "array") return json.items.flatMap(secretsOf);
  if (json?.kind !== "object") return [];
  return json.members.flatMap(([name, value]) => (isSecret(name) ? [value] : secretsOf(value)));
}

/** The lines of a transcript, as `wasabi::testing::Transcript` writes them. */
export function asLines({ target, lines }: Transcript): string {
  const headers: Record<string, string> = Object.fromEntries(shownHeaders(target.headers));
  if (target.subprotocols.length > 0) {
    headers["sec-websocket-protocol"] = shownSubprotocols(target.subprotocols).join(", ");
  }
  headers["host"] ??= "gateway.test";
  const sorted = Object.fromEntries(Object.entries(headers).sort(([one], [other]) => (one < other ? -1 : 1)));
  const open = { ms: 0, to: "gateway", open: shownPath(target.path), headers: sorted };
  const rest = lines.map(({ ms, to, text, base64, close }) => {
    const begin = `{"ms":${Math.round(ms)},"to":"${to}"`;
    if (close) return `${begin},"close":${close.code},"reason":${JSON.stringify(close.reason)}}`;
    if (base64 !== undefined) return `${begin},"base64":"${base64}"}`;
    const json = tryRead(shownText(text ?? ""));
    const isJson = json && json.kind !== "leaf";
    return isJson ? `${begin},"json":${compact(json)}}` : `${begin},"text":${JSON.stringify(text)}}`;
  });
  return [JSON.stringify(open), ...rest, ""].join("\n");
}

/** A test in Rust, without sockets, that says the same and compares what comes with the transcript's file. */
export function asTest(transcript: Transcript): string {
  const { target, lines } = transcript;
  const handshake = [
    ...shownHeaders(target.headers).map(([name, value]) => `.header(${rust(name)}, ${rust(value)})`),
    ...shownSubprotocols(target.subprotocols).map((name) => `.subprotocol(${rust(name)})`),
  ];
  const closes = lines.some(({ to, close }) => close && to === "gateway");
  const said = lines.flatMap(({ to, text, close }) => {
    if (close && to === "gateway") {
      const code = `wasabi::CloseCode::try_from(${close.code})?`;
      return [`client.close(wasabi::Close::new(${code}, ${rust(close.reason)})).await?;`];
    }
    // `close` waits for the gateway's close frame.
    if (close) return closes ? [] : ["client.closed().await?;"];
    if (to === "client") return ["client.receive().await?;"];
    return text === undefined ? [] : [`client.send(${rust(shownText(text))}).await?;`];
  });
  return `// What comes is compared with transcript.jsonl; UPDATE=1 writes it.
#[tokio::test]
async fn the_gateway_answers_as_it_did() -> Result<(), Box<dyn std::error::Error>> {
    let gateway = wasabi::testing::TestGateway::new(gateway())?;
    let handshake = wasabi::testing::TestHandshake::to(${rust(shownPath(target.path))})${handshake.map((each) => `\n        ${each}`).join("")};
    let mut client = gateway.connect(handshake).await?;
    ${said.join("\n    ")}
    client.transcript().compare("transcript.jsonl")?;
    Ok(())
}
`;
}

function rust(text: string): string {
  if (!/["\\\p{Cc}]/u.test(text)) return `"${text}"`;
  if (/\p{Cc}/u.test(text)) return JSON.stringify(text).replace(/\\u([0-9a-f]{4})/g, "\\u{$1}").replace(/\\[bf]/g, " ");
  const hashes = "#".repeat(Math.max(...[...text.matchAll(/"(#*)/g)].map((found) => found[1]?.length ?? 0), 0) + 1);
  return `r${hashes}"${text}"${hashes}`;
}

function sentTexts(transcript: Transcript): string[] {
  return transcript.lines.flatMap(({ to, text }) => (to === "gateway" && text !== undefined ? [shownText(text)] : []));
}

function shell(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function url({ base, target }: Transcript): string {
  return base.replace(/\/$/, "") + shownPath(target.path);
}

/** Commands of curl, for the handshake, and of npm's wscat, for the messages. */
export function asCommands(transcript: Transcript): string {
  const { target } = transcript;
  const subprotocols = shownSubprotocols(target.subprotocols);
  const headers = shownHeaders(target.headers).map(([name, value]) => `${name}: ${value}`);
  const curl = [
    `curl --include --http1.1 --max-time 5 ${shell(url(transcript).replace(/^ws/, "http"))}`,
    ...["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="]
      .concat(headers, subprotocols.length > 0 ? [`sec-websocket-protocol: ${subprotocols.join(", ")}`] : [])
      .map((header) => `--header ${shell(header)}`),
  ];
  const wscat = [
    `npx wscat --connect ${shell(url(transcript))}`,
    ...headers.map((header) => `--header ${shell(header)}`),
    ...subprotocols.map((name) => `--subprotocol ${shell(name)}`),
    ...sentTexts(transcript).map((text) => `--execute ${shell(text)}`),
    "--wait 2",
  ];
  return `${curl.join(" \\\n  ")}\n\n${wscat.join(" \\\n  ")}\n`;
}

/** A module in TypeScript, for browsers, Deno and Node.js from 22 on. */
export function asTypeScript(transcript: Transcript): string {
  const subprotocols = shownSubprotocols(transcript.target.subprotocols);
  const offered = subprotocols.length > 0 ? `, ${JSON.stringify(subprotocols)}` : "";
  const headers = transcript.target.headers.map(([name]) => name);
  const note = headers.length > 0 ? `// Browsers cannot send these headers: ${headers.join(", ")}.\n` : "";
  const sends = sentTexts(transcript).map((text) => `  socket.send(${JSON.stringify(text)});\n`);
  return `${note}const socket = new WebSocket(${JSON.stringify(url(transcript))}${offered});
socket.onmessage = ({ data }) => console.log(data);
socket.onclose = ({ code, reason }) => console.log("closed", code, reason);
socket.onopen = () => {
${sends.join("")}};
`;
}

/** A program in Rust, on tokio-tungstenite. */
export function asRust(transcript: Transcript): string {
  const { target } = transcript;
  const subprotocols = shownSubprotocols(target.subprotocols);
  const headers = shownHeaders(target.headers).concat(
    subprotocols.length > 0 ? [["sec-websocket-protocol", subprotocols.join(", ")]] : [],
  );
  const inserts = headers.map(
    ([name, value]) => `    request.headers_mut().insert(${rust(name)}, ${rust(value)}.parse()?);\n`,
  );
  const sends = sentTexts(transcript).map((text) => `    socket.send(Message::text(${rust(text)})).await?;\n`);
  return `use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ${inserts.length > 0 ? "mut " : ""}request = ${rust(url(transcript))}.into_client_request()?;
${inserts.join("")}    let (mut socket, _) = connect_async(request).await?;
${sends.join("")}    while let Some(message) = socket.next().await {
        println!("{:?}", message?);
    }
    Ok(())
}
`;
}
