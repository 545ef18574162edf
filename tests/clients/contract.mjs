// What the quickstart promises, asked by npm's ws: contract.mjs ws://127.0.0.1:8080
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { WebSocket } = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`)("ws");
const url = process.argv[2];

/** Opens a socket whose messages can be awaited one by one. */
async function open(url) {
  const socket = new WebSocket(url);
  const arrived = [];
  const waiting = [];
  socket.on("message", (data, isBinary) => {
    const message = isBinary ? data : data.toString();
    waiting.length > 0 ? waiting.shift()(message) : arrived.push(message);
  });
  await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
  const next = () =>
    arrived.length > 0 ? Promise.resolve(arrived.shift()) : new Promise((resolve) => waiting.push(resolve));
  const ask = async (request) => {
    socket.send(typeof request === "string" ? request : JSON.stringify(request));
    return JSON.parse(await next());
  };
  return { socket, next, ask };
}

setTimeout(() => { throw new Error("took too long"); }, 20_000).unref();

const echo = await open(`${url}/echo`);
for (const message of ["", "hello", "grüße 👋", "x".repeat(32768), Buffer.alloc(0), Buffer.from([0, 1, 255])]) {
  echo.socket.send(message);
  assert.deepEqual(await echo.next(), message);
}
await new Promise((resolve) => { echo.socket.on("pong", resolve); echo.socket.ping("x"); });
const closed = new Promise((resolve) => echo.socket.on("close", (code, reason) => resolve([code, reason.toString()])));
echo.socket.close(4000, "enough");
assert.deepEqual(await closed, [4000, "enough"]);

const json = await open(url);
assert.deepEqual(await json.ask({ action: "sum", id: 7, values: [1, 2, 3] }), { id: 7, sum: 6 });
const time = await json.ask({ action: "time", id: 8 });
assert.equal(time.id, 8);
assert.ok("time" in time);
const nope = await json.ask({ action: "nope", id: 1 });
assert.equal(nope.id, 1);
assert.equal(nope.error.code, "no_route");
const bad = await json.ask({ action: "sum", id: 9, values: "x" });
assert.equal(bad.id, 9);
assert.equal(bad.error.code, "invalid_params");
const text = await json.ask("this is not JSON");
assert.equal(text.error.code, "unreadable");
assert.ok(!("id" in text));
json.socket.close();
console.log("ok");
