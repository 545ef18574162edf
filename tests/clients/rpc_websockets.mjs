// A chain-like service in JSON-RPC, asked by npm's rpc-websockets: rpc_websockets.mjs ws://127.0.0.1:8080
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { Client } = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`)("rpc-websockets");
const client = new Client(process.argv[2], { reconnect: false });
await new Promise((resolve) => client.on("open", resolve));

assert.equal(await client.call("eth_chainId"), "0x539");
const blocks = await Promise.all(
  Array.from({ length: 50 }, (_, n) => client.call("eth_getBlockByNumber", [`0x${n.toString(16)}`, false])),
);
blocks.forEach((block, n) => assert.equal(Number(block.number), n));
await client.notify("eth_blockNumber", []);
for (const [method, params, code] of [
  ["eth_missing", [], -32601],
  ["eth_getBlockByNumber", ["0x1"], -32602],
  ["eth_call", [], 3],
]) {
  const error = await client.call(method, params).then(assert.fail, (error) => error);
  assert.equal(error.code, code, method);
  assert.ok(error.message && error.data.code, method);
}

const seen = [];
const three = new Promise((resolve) => {
  client.on("eth_subscription", (params) => {
    seen.push(params);
    if (seen.length === 3) resolve();
  });
});
const id = await client.call("eth_subscribe", ["newHeads"]);
await three;
assert.ok(seen.every((params) => params.subscription === id));
assert.deepEqual(seen.slice(0, 3).map(({ result }) => Number(result.number)), [17, 18, 19]);
assert.equal(await client.call("eth_unsubscribe", [id]), true);
const count = seen.length;
assert.equal(await client.call("eth_unsubscribe", [id]), false);
await new Promise((resolve) => setTimeout(resolve, 100));
assert.equal(seen.length, count);
client.close();
console.log("ok");
