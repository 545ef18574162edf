// Deriv's WebSocket API, used by npm's @deriv/deriv-api: deriv.mjs ws://127.0.0.1:8080/
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`);
// The SDK opens its connections itself, as in a browser.
globalThis.WebSocket = require("ws");
const DerivAPI = require("@deriv/deriv-api/dist/DerivAPIBasic.js");
const url = process.argv[2];

setTimeout(() => { throw new Error("took too long"); }, 20_000).unref();

/** The next event of this kind that is wanted. */
const next = (events, wanted = () => true) =>
  new Promise((resolve) => {
    const listening = events.subscribe((event) => {
      if (!wanted(event)) return;
      listening.unsubscribe();
      resolve(event);
    });
  });

const open = async (endpoint) => {
  const api = new DerivAPI({ endpoint, app_id: 1089, lang: "en" });
  await next(api.onOpen());
  return api;
};

const failure = (call) => call.then(assert.fail, ({ error, req_id }) => ({ code: error.code, req_id }));

const api = await open(url);
const messages = [];
let closed = 0;
api.onMessage().subscribe(({ data }) => messages.push(data));
api.onClose().subscribe(() => { closed += 1; });

// A call, with the parameters of the handshake.
const { time, query, req_id } = await api.time();
assert.equal(time, 1_700_000_000);
assert.equal(query, "app_id=1089&l=EN");
assert.equal(req_id, 1);

// Two calls at once: the server answers the second one first.
const order = [];
const both = ["ping", "time"].map(async (kind) => {
  const answer = await api[kind]();
  order.push(kind);
  assert.equal(answer.msg_type, kind);
  return answer.req_id;
});
assert.deepEqual(await Promise.all(both), [2, 3]);
assert.deepEqual(order, ["time", "ping"]);

// An error of the server; and one of the gateway, because the server does not answer.
assert.deepEqual(await failure(api.send({ buy: 1 })), { code: "InsufficientBalance", req_id: 4 });
assert.deepEqual(await failure(api.send({ active_symbols: "brief" })), { code: "timed_out", req_id: 5 });

// Two subscriptions next to calls, until they are forgotten: in one way, then in the other.
const ticks = { A: [], B: [] };
const follow = (symbol) => {
  let following;
  const three = new Promise((resolve) => {
    following = api.subscribe({ ticks: symbol }).subscribe((message) => {
      ticks[symbol].push(message);
      if (ticks[symbol].length === 3) resolve();
    });
  });
  return { three, unsubscribe: () => following.unsubscribe() };
};
const streams = [follow("A"), follow("B")];
assert.equal((await api.time()).time, 1_700_000_000);
await Promise.all(streams.map(({ three }) => three));
for (const [symbol, seen] of Object.entries(ticks)) {
  assert.deepEqual(seen.map(({ tick }) => tick), seen.map((_, quote) => ({ symbol, quote })));
}
const forgotten = await api.forget(ticks.A[0].subscription.id);
assert.equal(forgotten.forget, 1);
// The SDK forgets once more what still sends: the first answer counts.
const answer = next(api.onMessage(), ({ data }) => data.echo_req?.forget === ticks.B[0].subscription.id);
streams[1].unsubscribe();
const { data: unsubscribed } = await answer;
assert.equal(unsubscribed.forget, 1);
assert.equal((await api.forget(ticks.A[0].subscription.id)).forget, 0);
// Each has sent as many as arrived.
const arrived = (symbol) => messages.filter(({ tick }) => tick?.symbol === symbol).length;
for (const [symbol, { sent }] of [["A", forgotten], ["B", unsubscribed]]) {
  while (arrived(symbol) < sent) await next(api.onMessage());
  await api.time();
  assert.equal(arrived(symbol), sent, symbol);
}

// The server is lost: the gateway answers the call and closes the connection, and the SDK opens a new one.
assert.equal(closed, 0);
const again = next(api.onOpen());
const { code } = await failure(api.logout());
assert.equal(code, "upstream_lost");
await again;
assert.equal(closed, 1);
assert.equal((await api.time()).query, query);
api.disconnect();

// The gateway opens a new connection to the server, and the client's connection goes on.
const kept = await open(`${url}kept/`);
kept.onClose().subscribe(() => assert.fail("closed"));
assert.equal((await kept.time()).time, 1_700_000_000);
assert.equal((await failure(kept.logout())).code, "upstream_lost");
assert.equal((await kept.time()).time, 1_700_000_000);
console.log("ok");
process.exit(0);
