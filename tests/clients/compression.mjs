// An echo channel that compresses, asked by npm's ws: compression.mjs ws://127.0.0.1:8080/
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { randomBytes } from "node:crypto";

const { WebSocket } = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`)("ws");
const url = process.argv[2];
setTimeout(() => { throw new Error("took too long"); }, 30_000).unref();

const messages = ["", "hello", "grüße 👋 ".repeat(500), "x".repeat(32768), Buffer.alloc(3000, 7), randomBytes(20000)];
const offers = [
  true,
  { threshold: 0 },
  { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
  { threshold: 0, serverMaxWindowBits: 10, clientMaxWindowBits: 9 },
];
for (const perMessageDeflate of offers) {
  const socket = new WebSocket(url, { perMessageDeflate });
  await once(socket, "open");
  assert.match(socket.extensions, /^permessage-deflate/);
  for (let round = 0; round < 3; round++) {
    for (const message of messages) {
      socket.send(message);
      const [data, isBinary] = await once(socket, "message");
      assert.deepEqual(isBinary ? data : data.toString(), message);
    }
  }
  socket.close(4000, "enough");
  const [code, reason] = await once(socket, "close");
  assert.deepEqual([code, reason.toString()], [4000, "enough"]);
}

const plain = new WebSocket(url, { perMessageDeflate: false });
await once(plain, "open");
assert.equal(plain.extensions, "");
plain.send("x".repeat(5000));
const [data] = await once(plain, "message");
assert.equal(data.toString(), "x".repeat(5000));
plain.terminate();
console.log("ok");
