// The clients in Chromium: browser.mjs client.mjs address address page
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { chromium } = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`)("playwright-core");
const [, first] = process.argv.slice(2);

// Root, as which containers run, has no sandbox.
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  await page.goto(`http://${first}/`);
  const seen = await page.evaluate(async () => {
    const { shop, ticketsRoom } = await import("/client.mjs");
    const base = location.origin.replace("http", "ws");
    // The gateway refuses the first token with 401, of which a browser says nothing.
    const tokens = ["bad", "good"];
    const attempts = [];
    const room = ticketsRoom(base, { room: "a" }, {
      pausesMs: [20, 40, 100],
      query: () => ({ token: tokens.shift() }),
      onState: ({ is, code }) => attempts.push(code ?? is),
    });
    await room.request("room");
    room.close();
    const states = [];
    let changed = () => {};
    const client = shop(base, {
      pausesMs: [20, 40, 100],
      onState: ({ is, code }) => {
        states.push(code ?? is);
        changed();
      },
    });
    const order = await client.request("order", { item: "tea" });
    const prices = [];
    client.on("price", ({ price }) => prices.push(price));
    client.send("announce");
    const refused = await client.result("order", { item: "milk" });
    while (prices.length < 2) await client.request("ordered", { item: "tea" });
    const ticks = [];
    const cancel = (of) => client.send("cancel", { of });
    for await (const { count } of client.stream("ticks", { item: "" }, { cancel })) if (ticks.push(count) === 3) break;
    while ((await client.request("streams")).count > 0);
    // The server goes, and no other comes.
    await fetch("/drain");
    while (!states.includes(1006)) await new Promise((done) => (changed = done));
    const lost = await client.result("order", { item: "tea" }, { timeoutMs: 50 });
    client.close();
    return { attempts, order, prices, refused: refused.error.code, ticks, states: states.slice(0, 4), lost: [lost.error.code, lost.error.sent] };
  });
  assert.deepEqual(seen, {
    attempts: ["connecting", 1006, "connecting", "open", 1000],
    order: { id: 1, count: 1 },
    prices: [4, 3],
    refused: "sold_out",
    ticks: [0, 1, 2],
    states: ["connecting", "open", 1012, "connecting"],
    lost: ["client_timed_out", false],
  });
  assert.deepEqual(errors, []);
} finally {
  await browser.close();
}
