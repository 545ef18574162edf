// A WebSocket over a stream of node's HTTP/2 (RFC 8441): http2.mjs http://127.0.0.1:8080 or https://..
import assert from "node:assert/strict";
import http2 from "node:http2";

const session = http2.connect(process.argv[2], { rejectUnauthorized: false });
setTimeout(() => { throw new Error("took too long"); }, 20_000).unref();
await new Promise((resolve, reject) => session.on("remoteSettings", resolve).on("error", reject));
assert.equal(session.remoteSettings.enableConnectProtocol, true);

/** A client's frame, whose mask changes nothing. */
function frame(opcode, payload) {
  const length = Buffer.alloc(payload.length < 126 ? 2 : 4);
  length[0] = 0x80 | opcode;
  length[1] = 0x80 | (payload.length < 126 ? payload.length : 126);
  if (payload.length >= 126) length.writeUInt16BE(payload.length, 2);
  return Buffer.concat([length, Buffer.alloc(4), payload]);
}

/** The frame that the server answers with. */
function unmasked(opcode, payload) {
  const sent = frame(opcode, payload);
  sent[1] &= 0x7f;
  const head = payload.length < 126 ? 2 : 4;
  return Buffer.concat([sent.subarray(0, head), payload]);
}

async function open() {
  const stream = session.request({
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":path": "/echo",
    "sec-websocket-version": "13",
  });
  const headers = await new Promise((resolve, reject) => stream.on("response", resolve).on("error", reject));
  assert.equal(headers[":status"], 200);
  let read = Buffer.alloc(0);
  let arrived = () => {};
  stream.on("data", (data) => { read = Buffer.concat([read, data]); arrived(); });
  const ended = new Promise((resolve) => stream.on("end", resolve));
  const ask = async (opcode, payload) => {
    stream.write(frame(opcode, payload));
    const expected = unmasked(opcode, payload);
    while (read.length < expected.length) await new Promise((resolve) => { arrived = resolve; });
    assert.deepEqual(read.subarray(0, expected.length), expected);
    read = read.subarray(expected.length);
  };
  return { ask, ended };
}

const first = await open();
const second = await open();
await first.ask(1, Buffer.from("hello"));
await second.ask(2, Buffer.alloc(60_000, 7));
await first.ask(1, Buffer.from("grüße 👋"));

const response = await new Promise((resolve) => session.request({ ":path": "/livez" }).on("response", resolve));
assert.equal(response[":status"], 200);

await first.ask(8, Buffer.from([0x03, 0xe8]));
await first.ended;
await second.ask(1, Buffer.from("still open"));
session.destroy();
console.log("ok");
