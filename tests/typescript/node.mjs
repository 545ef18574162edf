// The clients in Node and Deno: node.mjs client address address case
//
// They connect through a proxy, which cuts connections and leads to the first server or the second.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { createServer, connect } from "node:net";

// Deno has one; Node before version 22 has none.
const ws = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`)("ws");
const { WebSocket } = globalThis.Deno ? {} : ws;
const [file, first, second, name] = process.argv.slice(2);
const { shop, ticketsRoom, rpc, echo, rooms, GatewayError } = await import(file);

class Proxy {
  to = first;
  #sockets = new Set();
  async open() {
    this.server = createServer((near) => {
      const [host, port] = this.to.split(":");
      const far = connect(Number(port), host);
      for (const [one, other] of [[near, far], [far, near]]) {
        this.#sockets.add(one);
        one.pipe(other);
        one.on("error", () => other.destroy());
        one.on("close", () => other.destroy());
      }
    });
    await new Promise((done) => this.server.listen(0, "127.0.0.1", done));
    return `ws://127.0.0.1:${this.server.address().port}`;
  }
  cut() {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#sockets.clear();
  }
}

const proxy = new Proxy();
const base = await proxy.open();
const states = [];
let changed = () => {};
const options = {
  WebSocket,
  timeoutMs: 20_000,
  pausesMs: [20, 40, 100],
  onState: (state) => {
    states.push(state);
    changed();
  },
};
/** Waits until a state of this kind has been reached so many times. */
async function reached(is, times = 1) {
  while (states.filter((state) => state.is === is).length < times) await new Promise((done) => (changed = done));
}
const get = (address, path) => fetch(`http://${address}${path}`).then((answer) => assert.ok(answer.ok));
const count = async (client, item) => (await client.request("ordered", { item })).count;

/** A server that does as the test says: what it was asked, and what it says of a group. */
async function scripted() {
  const listener = new ws.WebSocketServer({ port: 0, host: "127.0.0.1" });
  await new Promise((done) => listener.on("listening", done));
  const asks = [];
  let came = () => {};
  const server = {
    url: `ws://127.0.0.1:${listener.address().port}`,
    asked: async () => {
      while (!asks.length) await new Promise((done) => (came = done));
      return asks.shift();
    },
    say: (told) => server.peer.send(JSON.stringify({ group: "g", ...told })),
    close: () => listener.close(),
  };
  listener.on("connection", (socket) => {
    server.peer = socket;
    socket.on("message", (text) => {
      asks.push(JSON.parse(text));
      came();
    });
  });
  return server;
}

const cases = {
  async requests_are_matched_by_id_and_errors_are_values() {
    const client = shop(base, options);
    // Before the connection is open.
    const all = await Promise.all(["tea", "tea", "rice"].map((item) => client.request("order", { item })));
    assert.deepEqual(all.map(({ count }) => count), [1, 2, 1]);
    const { ok, error } = await client.result("order", { item: "milk" });
    assert.deepEqual([ok, error.code, error.message, error.sent], [false, "sold_out", "this item is sold out", true]);
    await assert.rejects(client.request("order", { item: "milk" }), (thrown) => thrown instanceof GatewayError && thrown.code === "sold_out");
    const unknown = await client.result("broken", { item: "tea" });
    assert.equal(unknown.error.code, "brand_new");
    const wrong = await client.result("order", { item: 7 });
    assert.equal(wrong.error.code, "invalid_params");
    const nowhere = await client.result("any.thing");
    assert.equal(nowhere.error.code, "upstream_unreachable");
    assert.equal((await client.request("find", { item: "tea" })).count, 0);
    assert.equal(await client.request("find", { item: "rice" }, { timeoutMs: 100 }), undefined);
    client.close();
    const late = await client.result("order", { item: "tea" });
    assert.deepEqual([late.error.code, late.error.sent], ["not_sent", false]);
  },

  async unit_waits_for_no_reply_and_unasked_messages_are_events() {
    const errors = [];
    const rest = [];
    const client = shop(base, { ...options, onError: (error) => errors.push(error), onMessage: (message) => rest.push(message) });
    assert.equal(client.send("forget", { item: "tea" }), undefined, "there is no connection yet");
    await reached("open");
    const id = client.send("forget", { item: "tea" });
    assert.equal(typeof id, "number");
    assert.equal(await count(client, "tea"), 1);
    const failed = client.send("forget", { item: 7 });
    while (errors.length < 1) await count(client, "tea");
    assert.deepEqual(errors.map(({ code, id }) => [code, id]), [["invalid_params", failed]]);

    client.send("announce");
    while (rest.length < 2) await count(client, "tea");
    assert.deepEqual(rest, [{ event: "up", price: 4 }, { event: "down", price: 3 }], "nobody listens");
    const prices = [];
    const stop = client.on("price", ({ price }) => prices.push(price));
    client.send("announce");
    while (prices.length < 2) await count(client, "tea");
    stop();
    client.send("announce");
    while (rest.length < 4) await count(client, "tea");
    assert.deepEqual(prices, [4, 3]);
    client.close();
  },

  async a_connection_that_is_cut_mid_request_says_that_it_may_have_been_carried_out() {
    const client = shop(base, options);
    const lost = client.result("second", { item: "tea" });
    assert.equal(await count(client, "tea"), 1);
    proxy.cut();
    const { error } = await lost;
    assert.deepEqual([error.code, error.sent], ["disconnected", true]);
    assert.match(error.message, /1006.*may have been carried out/);
    await reached("open", 2);
    assert.equal(await count(client, "tea"), 1, "nothing was sent again");
    client.close();
  },

  async only_a_connection_that_stays_makes_the_next_pauses_short_again() {
    // The jitter is full: without it.
    Math.random = () => 1;
    const pauses = async (longest, stays) => {
      states.length = 0;
      const client = shop(base, { ...options, pausesMs: [1, 1, longest] });
      for (let times = 1; times <= 4; times++) {
        await reached("open", times);
        // A message of the gateway alone says little.
        await count(client, "tea");
        if (times === 4) await new Promise((done) => setTimeout(done, stays));
        proxy.cut();
        await reached("waiting", times);
      }
      client.close();
      return states.filter(({ is }) => is === "waiting").map(({ ms }) => ms);
    };
    assert.deepEqual(await pauses(60_000, 0), [1, 2, 4, 8]);
    assert.equal((await pauses(50, 100)).at(-1), 1);
  },

  async what_may_be_carried_out_twice_is_sent_again() {
    const client = shop(base, options);
    const again = client.request("second", { item: "tea" }, { idempotent: true });
    assert.equal(await count(client, "tea"), 1);
    proxy.cut();
    assert.equal((await again).count, 2);
    client.close();
  },

  async closing_never_sends_an_order_again_and_1012_leads_to_the_next_server() {
    const client = shop(base, options);
    // Keeps the first server from closing at once.
    const held = client.request("hold", { item: "" });
    await count(client, "tea");
    await get(first, "/drain");
    for (let last; last !== "closing"; ) last = (await client.result("ordered", { item: "tea" })).error?.code;
    const order = await client.result("order", { item: "tea" });
    assert.deepEqual([order.error.code, order.error.sent], ["closing", true]);
    const again = client.request("order", { item: "rice" }, { idempotent: true });
    proxy.to = second;
    await get(second, "/release");
    assert.equal((await held).count, 0);
    assert.equal((await again).count, 1);
    assert.deepEqual([await count(client, "tea"), await count(client, "rice")], [0, 1]);
    const waiting = states.filter(({ is }) => is === "waiting");
    assert.equal(waiting[0].code, 1012);
    assert.ok(waiting.every(({ ms }) => ms >= 0 && ms <= 100));
    client.close();
    assert.deepEqual(states.at(-1), { is: "closed", code: 1000, reason: "" });
  },

  async each_attempt_has_a_fresh_token_and_a_refused_one_is_not_silent() {
    const tokens = ["bad", "bad too", "good-1", "good-2"];
    const query = async () => ({ token: tokens.shift(), other: undefined });
    const client = ticketsRoom(base, { room: "a b?" }, { ...options, query });
    const hasty = client.result("room", {}, { timeoutMs: 0 });
    assert.deepEqual(await hasty.then(({ error }) => [error.code, error.sent]), ["client_timed_out", false]);
    const room = await client.request("room");
    assert.equal(room.room, "a b?");
    const waiting = states.filter(({ is }) => is === "waiting");
    assert.deepEqual(waiting.map(({ code }) => code), [1006, 1006]);
    proxy.cut();
    assert.equal((await client.request("room", {}, { idempotent: true })).room, "a b?");
    assert.equal(tokens.length, 0);
    proxy.cut();
    client.close();
    // The gateway refuses these, or takes them for another path.
    for (const room of ["..", "", "a/b"]) assert.throws(() => ticketsRoom(base, { room }, options), TypeError);
  },

  async leaving_a_stream_cancels_it() {
    const client = shop(base, options);
    const seen = [];
    const cancel = (of) => client.send("cancel", { of });
    for await (const { count } of client.stream("ticks", { item: "" }, { cancel })) {
      assert.equal((await client.request("streams")).count, 1);
      seen.push(count);
      if (seen.length === 3) break;
    }
    assert.deepEqual(seen, [0, 1, 2]);
    while ((await client.request("streams")).count > 0);
    // It ends with an error when the connection does.
    await assert.rejects(async () => {
      for await (const { count } of client.stream("ticks", { item: "" })) if (count === 2) proxy.cut();
    }, { code: "disconnected" });
    client.close();
  },

  async deadlines_and_signals_end_what_waits() {
    const client = shop(base, options);
    await reached("open");
    const late = await client.result("hold", { item: "" }, { timeoutMs: 50 });
    assert.deepEqual([late.error.code, late.error.sent], ["client_timed_out", true]);
    const given = new AbortController();
    const up = client.result("hold", { item: "" }, { signal: given.signal });
    given.abort();
    assert.deepEqual(await up.then(({ error }) => [error.code, error.sent]), ["aborted", true]);
    const before = await client.result("order", { item: "tea" }, { signal: given.signal });
    assert.deepEqual([before.error.code, before.error.sent], ["aborted", false]);
    assert.equal(await count(client, "tea"), 0);
    const stream = client.stream("ticks", { item: "" }, { timeoutMs: 50 });
    await assert.rejects(async () => { for await (const _ of stream); }, { code: "client_timed_out" });
    // A late reply disturbs nothing.
    await get(first, "/release");
    assert.equal(await count(client, "tea"), 0);
    const waiting = client.result("hold", { item: "" });
    await count(client, "tea");
    client.close();
    assert.equal((await waiting).error.code, "disconnected");
  },

  async calls_of_json_rpc_and_their_subscriptions_work() {
    const client = rpc(base, options);
    assert.equal(await client.request("add", [1, 2]), 3);
    const failed = await client.result("add", [1, 0]);
    assert.deepEqual([failed.error.code, failed.error.message], ["sold_out", "this item is sold out"]);
    const seen = [];
    for await (const number of client.stream("numbers")) {
      seen.push(number);
      if (seen.length === 3) {
        assert.equal(await client.request("streams"), 1);
        break;
      }
    }
    assert.deepEqual(seen, [0, 1, 2]);
    // The method that ends subscriptions has been called.
    while ((await client.request("streams")) > 0);
    client.close();
  },

  async a_group_is_followed_over_cut_connections_with_nothing_missing_and_nothing_double() {
    const [client, other] = [rooms(base, options), rooms(`ws://${first}`, { WebSocket })];
    const seen = [];
    let last = 0;
    for await (const told of client.follow("follow", "room:1")) {
      if (["joined", "left", "unsure"].some((name) => name in told)) continue;
      seen.push("data" in told ? told.data : "gap" in told);
      if (told.data === 60) break;
      if (last >= 60 || (last && told.data !== last)) continue;
      // Some while it is connected, and some while it is not.
      for (let times = 0; times < 10; times++) {
        if (times === 5) proxy.cut();
        await other.request("say", { group: "room:1", number: ++last });
      }
    }
    assert.deepEqual(seen, [true, ...Array.from({ length: 60 }, (_, at) => at + 1)]);
    assert.ok(states.filter(({ is }) => is === "waiting").length >= 6);
    client.close();
    other.close();
  },

  async who_is_there_is_unsure_after_a_lost_connection() {
    const [client, other] = [rooms(base, options), rooms(`ws://${first}`, { WebSocket })];
    const there = other.follow("follow", "room:1");
    assert.ok("gap" in (await there.next()).value);
    const told = client.follow("follow", "room:1");
    assert.ok("gap" in (await told.next()).value);
    // Nobody listens there.
    proxy.to = "127.0.0.1:1";
    proxy.cut();
    await reached("waiting");
    await there.return();
    await other.request("say", { group: "room:1", number: 1 });
    proxy.to = first;
    const seen = [];
    while (!seen.at(-1)?.data) seen.push((await told.next()).value);
    assert.deepEqual(seen.filter((told) => !("joined" in told)).map((told) => told.unsure ?? told.data), [true, 1]);
    for (const each of [client, other]) each.close();
  },

  async what_is_kept_no_more_is_told_as_a_gap_and_a_server_without_the_history_as_well() {
    const rest = [];
    const client = rooms(base, { ...options, onMessage: (message) => rest.push(message) });
    const [other, another] = [first, second].map((address) => rooms(`ws://${address}`, { WebSocket }));
    const say = (at, number) => at.request("say", { group: "short:1", number });
    const told = client.follow("follow", "short:1");
    const next = async () => (await told.next()).value;
    assert.deepEqual(await next(), { group: "short:1", gap: true });
    await say(other, 1);
    const { data, position } = await next();
    assert.deepEqual([data, typeof position], [1, "string"]);
    // Nobody listens there.
    proxy.to = "127.0.0.1:1";
    proxy.cut();
    for (const number of [2, 3, 4, 5]) await say(other, number);
    proxy.to = first;
    assert.deepEqual(await next(), { group: "short:1", unsure: true });
    assert.deepEqual(await next(), { group: "short:1", gap: true });
    await say(other, 6);
    assert.equal((await next()).data, 6);

    proxy.to = second;
    proxy.cut();
    assert.deepEqual(await next(), { group: "short:1", unsure: true });
    assert.deepEqual(await next(), { group: "short:1", gap: true });
    await say(another, 7);
    assert.equal((await next()).data, 7);
    await told.return();
    // From a position that is known from before: 2 is not kept any more.
    proxy.to = first;
    proxy.cut();
    const later = async (since) => {
      for await (const told of client.follow("follow", "short:1", { since })) if (!told.unsure) return told.gap ?? told.data;
    };
    assert.equal(await later(position), true);
    assert.deepEqual(rest, []);
    for (const each of [client, other, another]) each.close();
  },

  async leaving_a_group_ends_it_at_the_gateway_and_it_can_be_followed_again() {
    const rest = [];
    const client = rooms(base, { ...options, onMessage: (message) => rest.push(message) });
    const other = rooms(`ws://${first}`, { WebSocket });
    const say = (number) => other.request("say", { group: "room:1", number });
    let since;
    const numbers = async (count, options) => {
      const seen = [];
      for await (const told of client.follow("follow", "room:1", options)) {
        if ("gap" in told) await say(1);
        if (!("data" in told)) continue;
        since = told.position;
        seen.push(told.data);
        if (seen.length === count) return seen;
      }
    };
    for (let times = 0; times < 5; times++) assert.deepEqual(await numbers(1), [1]);
    for (const number of [2, 3]) await say(number);
    assert.deepEqual(await numbers(2, { since }), [2, 3]);
    assert.deepEqual(rest, [], "what was said after the client has left");

    // At most once at a time; by a signal while nothing is said.
    const given = new AbortController();
    const waiting = client.follow("follow", "room:2", { signal: given.signal });
    assert.deepEqual((await waiting.next()).value, { group: "room:2", gap: true });
    await assert.rejects(client.follow("follow", "room:2").next(), TypeError);
    client.send("follow", { group: "room:2", who: true });
    for (let told; !told?.members; ) {
      told = (await waiting.next()).value;
      assert.ok("joined" in told || told.total === 1);
    }
    given.abort();
    await assert.rejects(async () => { for await (const _ of waiting); }, { code: "aborted" });
    await assert.rejects(client.follow("follow", "room:2", { signal: given.signal }).next(), { code: "aborted" });
    assert.ok("gap" in (await client.follow("follow", "room:2").next()).value);

    // Given up before there is an answer, and before there is a connection.
    for (const cut of [() => {}, () => proxy.cut()]) {
      const hasty = new AbortController();
      const told = client.follow("follow", "room:3", { signal: hasty.signal }).next();
      cut();
      hasty.abort();
      await assert.rejects(told, { code: "aborted" });
    }
    await other.request("say", { group: "room:3", number: 1 });
    assert.ok("gap" in (await client.follow("follow", "room:3").next()).value);
    assert.deepEqual(rest.filter(({ data }) => data), []);

    const refused = await client.follow("follow", "room:secret").next().catch((error) => error);
    assert.deepEqual([refused.code, refused.message], ["forbidden", "it is secret"]);
    client.close();
    await assert.rejects(client.follow("follow", "room:1").next(), { code: "not_sent" });
    other.close();
  },

  async a_group_goes_on_from_its_last_message_wherever_the_connection_ends() {
    const server = await scripted();
    const { asked, say } = server;
    const refuse = ({ id }, code) => server.peer.send(JSON.stringify({ id, error: { code, message: "no" } }));
    const client = rooms(server.url, options);
    const following = client.follow("follow", "g", { since: "5-1" });
    let next = following.next();
    // A gateway that drains.
    const ask = await asked();
    assert.deepEqual(ask, { do: "follow", id: 1, group: "g", since: "5-1" });
    refuse(ask, "closing");
    server.peer.close(1012);

    // One that ends before all that was missed has come.
    assert.equal((await asked()).since, "5-1");
    say({ recovered: true, position: "5-9", missed: 2 });
    say({ position: "5-2", base64: "aGVsbG8=" });
    assert.deepEqual((await next).value, { group: "g", unsure: true });
    next = following.next();
    assert.deepEqual((await next).value, { group: "g", position: "5-2", base64: "aGVsbG8=" });
    server.peer.terminate();
    next = following.next();
    assert.equal((await asked()).since, "5-2");
    say({ recovered: true, position: "5-9", missed: 1 });
    say({ position: "5-9", data: null });
    assert.deepEqual((await next).value, { group: "g", unsure: true });
    next = following.next();
    assert.deepEqual((await next).value, { group: "g", position: "5-9", data: null });

    // One that refuses to let the client go, so that it cannot say what the client has missed.
    await following.return();
    const leaves = await asked();
    assert.equal(leaves.follow, false);
    const again = client.follow("follow", "g", { since: "5-9" });
    next = again.next();
    say({ position: "5-10", data: 1 });
    refuse(leaves, "rate_limited");
    assert.equal((await asked()).since, "5-9");
    say({ recovered: true, position: "5-10", missed: 0 });
    assert.deepEqual((await next).value, { group: "g", unsure: true });
    assert.deepEqual((await again.next()).value, { group: "g", gap: true });
    client.close();
    server.close();
  },

  async what_only_looks_like_a_message_of_a_group_that_is_followed_is_an_event() {
    const server = await scripted();
    const { asked, say } = server;
    const rest = [];
    const client = rooms(server.url, { ...options, onMessage: ({ group, ...message }) => rest.push(message) });
    const following = client.follow("follow", "g");
    const next = following.next();
    await asked();
    say({ recovered: false, position: "5-1", missed: 0, since: "a newer gateway says more" });
    assert.deepEqual((await next).value, { group: "g", gap: true });
    const own = [
      { type: "moved", position: 7 },
      { type: "moved", position: "left" },
      { position: 7, data: 1 },
      { position: "5-7" },
      { gap: 3 },
      { gap: true, from: 1 },
      { left: 3 },
      { left: [], right: [] },
      { members: ["Bob"], total: 1 },
      {},
    ];
    for (const message of own) say(message);
    const told = [
      { position: "5-2", data: 1 },
      { gap: true },
      { joined: [{ connection: "1-2" }], left: ["1-3"] },
      { gone: "1-" },
      { unsure: true },
      { members: [], total: 0, complete: true, next: "1-2" },
    ];
    for (const message of told) say(message);
    for (const message of told) assert.deepEqual((await following.next()).value, { group: "g", ...message });
    assert.deepEqual(rest, own);
    client.close();
    server.close();
  },

  async a_group_whose_gateway_does_not_answer_can_be_followed_again() {
    const server = await scripted();
    const { asked, say } = server;
    let heard = () => {};
    const client = rooms(server.url, { ...options, timeoutMs: 50, onMessage: () => heard() });
    const [given, late] = [new AbortController(), new AbortController()];
    const hasty = client.follow("follow", "g", { signal: given.signal }).next();
    assert.equal((await asked()).follow, undefined);
    given.abort();
    await assert.rejects(hasty, { code: "aborted" });
    // It waits until the first one is over.
    const second = client.follow("follow", "g", { signal: late.signal }).next();
    late.abort();
    await assert.rejects(second, { code: "aborted" });
    const following = client.follow("follow", "g", { since: "5-1" });
    const next = following.next();
    assert.equal((await asked()).since, "5-1");
    say({ recovered: true, position: "5-2", missed: 0 });
    assert.deepEqual((await next).value, { group: "g", unsure: true });
    assert.deepEqual((await following.next()).value, { group: "g", gap: true }, "what was missed is not known");
    await following.return();
    assert.equal((await asked()).follow, false);
    const again = client.follow("follow", "g");
    const first = again.next();
    assert.equal((await asked()).follow, undefined);
    // What comes too late is for nobody.
    say({ unfollowed: true });
    say({ recovered: false, position: "5-2", missed: 0 });
    assert.ok("gap" in (await first).value);
    // One that refuses to let the client go, so that it cannot say later what the client has missed.
    await again.return();
    const { id } = await asked();
    server.peer.send(JSON.stringify({ id, error: { code: "rate_limited", message: "no" } }));
    say({ type: "own" });
    await new Promise((done) => (heard = done));
    const last = client.follow("follow", "g", { since: "5-2" });
    const told = last.next();
    await asked();
    say({ recovered: true, position: "5-3", missed: 0 });
    assert.ok("unsure" in (await told).value);
    assert.ok("gap" in (await last.next()).value);
    client.close();
    server.close();
  },

  async a_channel_without_keys_sends_and_gets_text() {
    const client = echo(base, options);
    const texts = [];
    let told = () => {};
    client.on("text", (text) => {
      texts.push(text);
      told();
    });
    assert.equal(client.post("early"), false);
    await reached("open");
    for (const text of ["7", '{"a":1}', "hi"]) assert.ok(client.post(text));
    while (texts.length < 3) await new Promise((done) => (told = done));
    assert.deepEqual(texts, ["7", '{"a":1}', "hi"]);
    client.close();
  },
};
await cases[name]();
proxy.cut();
proxy.server.close();
