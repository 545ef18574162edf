// The page of the chat in three processes, in Chromium: many_machines.mjs http://balancer pid pid pid
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { chromium } = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`)("playwright-core");
const [address, ...processes] = process.argv.slice(2);

// Root, as which containers run, has no sandbox.
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const context = await browser.newContext();
  context.setDefaultTimeout(30_000);
  const errors = [];

  async function enter(name) {
    const tab = await context.newPage();
    tab.on("pageerror", (error) => errors.push(error));
    await tab.goto(address);
    await tab.fill("#name", name);
    await tab.click("#enter button");
    await tab.waitForSelector("#state.open");
    return tab;
  }

  let count = 0;
  async function say(tab) {
    await tab.fill("#text", `line ${++count}.`);
    await tab.press("#text", "Enter");
    // A client says at most five a second.
    await tab.waitForTimeout(250);
  }

  /** What was said, as a tab shows it. */
  const lines = (tab) => tab.$$eval("#lines p", (all) => all.map((line) => line.lastChild.textContent).filter((text) => text.startsWith("line ")));
  const all = () => Array.from({ length: count }, (_, at) => `line ${at + 1}.`);

  /** Waits for the last line; then each is there once, and in order. */
  async function hasAll(tab) {
    await tab.waitForSelector(`#lines p:has-text("line ${count}.")`);
    assert.deepEqual(await lines(tab), all());
  }

  const isThere = (tab, names) => tab.waitForFunction(
    (shown) => document.querySelector("#who").textContent === shown,
    `${names.length} here: ${names.join(", ")}`,
  );

  const names = ["alice", "bob", "carol"];
  // The balancer takes one process after the other.
  const tabs = [];
  for (const name of names) tabs.push(await enter(name));
  const [alice, bob, carol] = tabs;
  for (const tab of tabs) await isThere(tab, names);
  for (const tab of tabs) await say(tab);
  for (const tab of tabs) await hasAll(tab);

  // Bob's page is reloaded while others speak.
  const reloaded = bob.reload();
  for (const tab of [alice, carol, alice]) await say(tab);
  await reloaded;
  for (const tab of tabs) await hasAll(tab);
  for (const tab of tabs) await isThere(tab, names);

  // Two of the processes are stopped, one after the other, while somebody speaks.
  for (const pid of processes.slice(1)) {
    process.kill(Number(pid), "SIGTERM");
    for (let lines = 0; lines < 3; lines++) {
      await alice.waitForSelector("#state.open");
      await alice.waitForFunction(() => !document.querySelector("#text").disabled);
      await say(alice);
    }
    for (const tab of tabs) await tab.waitForSelector("#state.open");
    for (const tab of tabs) await hasAll(tab);
    for (const tab of tabs) await isThere(tab, names);
  }

  // Some of them were there.
  const moved = await Promise.all(tabs.map((tab) => tab.$$('#lines p:has-text("disconnected: 1012")')));
  assert.ok(moved.flat().length > 0);
  await carol.close();
  for (const tab of [alice, bob]) await isThere(tab, ["alice", "bob"]);
  assert.deepEqual(errors, []);
} finally {
  await browser.close();
}
