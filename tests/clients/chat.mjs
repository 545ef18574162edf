// The chat example's page in Chromium: chat.mjs path/of/the/example
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { chromium } = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`)("playwright-core");
const program = process.argv[2];

/** Starts the example; gives the process and the address where it listens. */
async function start(address) {
  const child = spawn(program, [address], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: child.stdout })) {
    const found = line.match(/http:\/\/([^/]*)\//);
    if (found) return { child, address: found[1] };
  }
  throw new Error("the example ended");
}

let server = await start("127.0.0.1:0");
// Root, as which containers run, has no sandbox.
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const context = await browser.newContext();
  context.setDefaultTimeout(20_000);
  const errors = [];

  async function enter(name) {
    const tab = await context.newPage();
    tab.on("pageerror", (error) => errors.push(error));
    await tab.goto(`http://${server.address}/`);
    await tab.fill("#name", name);
    await tab.click("#enter button");
    await tab.waitForSelector("#state.open");
    await tab.waitForSelector(`#lines p:has-text("${name}"):has-text("has come in")`);
    return tab;
  }

  async function say(tab, text) {
    await tab.fill("#text", text);
    await tab.press("#text", "Enter");
  }

  const hears = (tab, text) => tab.waitForSelector(`#lines p:has-text("${text}")`);

  const alice = await enter("alice");
  const bob = await enter("bob");
  await hears(alice, "has come in");
  await say(bob, "<b>hello</b> from bob");
  await hears(alice, "<b>hello</b> from bob");
  await hears(bob, "<b>hello</b> from bob");

  server.child.kill();
  await once(server.child, "exit");
  await Promise.all([alice, bob].map((tab) => tab.waitForSelector("#state:not(.open)")));
  assert.ok(await alice.isDisabled("#text"));
  server = await start(server.address);
  for (const [tab, name] of [[alice, "alice"], [bob, "bob"]]) {
    await tab.waitForSelector(`#lines .note ~ p:has-text("${name}"):has-text("has come in")`);
  }
  await say(alice, "back again");
  await Promise.all([alice, bob].map((tab) => hears(tab, "back again")));
  assert.deepEqual(errors, []);
} finally {
  await browser.close();
  server.child.kill();
}
