// A chain-like service in JSON-RPC, asked by the WebSocket provider of npm's ethers: ethers.mjs ws://127.0.0.1:8080
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`);
const { WebSocketProvider, formatEther } = require("ethers");
const { WebSocket } = require("ws");
const provider = new WebSocketProvider(process.argv[2]);

assert.equal((await provider.getNetwork()).chainId, 1337n);
assert.equal(await provider.getBlockNumber(), 16);
const blocks = await Promise.all(Array.from({ length: 50 }, (_, n) => provider.getBlock(n)));
blocks.forEach((block, n) => assert.equal(block.number, n));
const zero = "0x0000000000000000000000000000000000000000";
assert.equal(formatEther(await provider.getBalance(zero)), "1.0");
await assert.rejects(provider.send("eth_missing", []), /no route/);
await assert.rejects(provider.call({ to: zero }), { code: "CALL_EXCEPTION" });

const seen = await new Promise((resolve) => {
  const seen = [];
  provider.on("block", (number) => {
    seen.push(number);
    if (seen.length === 3) resolve(seen);
  });
});
assert.deepEqual(seen, [17, 18, 19]);
// `off` does not wait for the answer, and `destroy` fails what is under way.
const unsubscribed = new Promise((resolve) => {
  const send = provider.send.bind(provider);
  provider.send = (method, params) => {
    const answer = send(method, params);
    if (method === "eth_unsubscribe") resolve(answer);
    return answer;
  };
});
await provider.off("block");
assert.equal(await unsubscribed, true);
assert.equal(await provider.getBlockNumber(), 16);
await provider.destroy();

// The provider sends no batches over a WebSocket; a plain client does.
const socket = new WebSocket(process.argv[2]);
await new Promise((resolve) => socket.once("open", resolve));
const calls = Array.from({ length: 50 }, (_, id) => ({
  jsonrpc: "2.0",
  id,
  method: "eth_getBlockByNumber",
  params: [`0x${id.toString(16)}`, false],
}));
socket.send(JSON.stringify(calls));
const [answers] = await new Promise((resolve) => socket.once("message", (data) => resolve([JSON.parse(data)])));
assert.deepEqual(answers.map(({ id }) => id), calls.map(({ id }) => id));
assert.ok(answers.every(({ id, result }) => Number(result.number) === id));
socket.close();
console.log("ok");
