// Operations over graphql-transport-ws, by npm's graphql-ws: graphql.mjs ws://127.0.0.1:8080/path
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`);
const { WebSocket } = require("ws");
const { createClient } = require("graphql-ws");
const url = process.argv[2];

setTimeout(() => { throw new Error("took too long"); }, 20_000).unref();

const open = (token, more = {}) =>
  createClient({ url, webSocketImpl: WebSocket, connectionParams: { token }, retryAttempts: 0, lazyCloseTimeout: 10_000, ...more });

/** All results of an operation. */
const all = async (client, name, variables) => {
  const results = [];
  for await (const result of client.iterate({ query: `subscription ${name} { n }`, operationName: name, variables })) {
    results.push(result);
  }
  return results;
};

// The connection is acknowledged with a payload, and pings are answered.
let hello;
let pongs = 0;
const client = open("secret", {
  keepAlive: 50,
  on: {
    connected: (_socket, payload) => { hello = payload; },
    pong: (received) => { if (received) pongs += 1; },
  },
});
assert.deepEqual(await all(client, "One"), [{ data: { n: 1 } }]);
assert.deepEqual(hello, { hello: "ada" });

// A stream, and several operations at once.
const three = [{ data: { n: 1 } }, { data: { n: 2 } }, { data: { n: 3 } }];
assert.deepEqual(await Promise.all([all(client, "Three"), all(client, "One"), all(client, "Three")]), [
  three,
  [{ data: { n: 1 } }],
  three,
]);

// An error ends its operation, and the others continue.
await assert.rejects(all(client, "Fails"), (errors) => {
  assert.equal(errors[0].message, "sold out");
  assert.equal(errors[0].extensions.code, "sold_out");
  return true;
});

// A client that stops listening ends the stream: the gateway says how many streams are left.
const streams = async () => (await all(client, "Streams"))[0].data.n;
const endless = client.iterate({ query: "subscription Endless { n }", operationName: "Endless" });
for (let n = 0; n < 5; n += 1) {
  assert.deepEqual((await endless.next()).value, { data: { n } });
}
assert.equal(await streams(), 1);
await endless.return();
while ((await streams()) !== 0) {
  await new Promise((resolve) => setTimeout(resolve, 5));
}
while (pongs < 2) {
  await new Promise((resolve) => setTimeout(resolve, 5));
}
await client.dispose();

// A client that is refused learns the code.
await assert.rejects(all(open("wrong"), "One"), (event) => {
  assert.equal(event.code, 4403);
  assert.equal(event.reason, "Forbidden");
  return true;
});
console.log("ok");
process.exit(0);
