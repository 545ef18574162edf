// A person's way through the console in Chromium: console.mjs <page> [folder for screenshots]
// Prints the transcript that the page copies.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const load = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`);
const { chromium } = load("playwright-core");
const axe = readFileSync(load.resolve("axe-core/axe.min.js"), "utf8");
const [page, screenshots] = process.argv.slice(2);

// Root, as which containers run, has no sandbox.
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  context.setDefaultTimeout(20_000);
  const tab = await context.newPage();
  const complaints = [];
  tab.on("pageerror", (error) => complaints.push(String(error)));
  // A request to anywhere else would be one that the policy of the page has stopped.
  tab.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  const elsewhere = [];
  tab.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(page).origin && !request.url().startsWith("data:")) {
      elsewhere.push(request.url());
    }
  });
  let clicks = 0;
  const click = (selector) => (clicks++, tab.click(selector));

  async function accessible(what) {
    await tab.evaluate(axe);
    const { violations } = await tab.evaluate(() => window.axe.run());
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    assert.deepEqual(found, [], what);
  }

  await tab.goto(page);
  await click('nav button:text-is("order.place")');
  assert.match(await tab.inputValue("#text"), /"action": "order.place"/);
  assert.ok(await tab.isVisible('dd:has-text("sold_out")'));

  // The handshake is refused, and the page says how.
  await click("#open");
  await tab.waitForSelector('#log .refused:has-text("401")');
  await tab.fill('label:has-text("query token") + input', "secret");
  await click("#open");
  await tab.waitForSelector('#state:has-text("Connected to /v1/tenant")');

  // Send, and the reply stands under the request.
  await tab.fill('#fields label:has-text("item") + input', "tea");
  await click("#send");
  await tab.waitForSelector('#log > .sent:has-text("answered") ol .received:has-text(\'"price": 3\')');

  // A broken field, and the error stands at it.
  await tab.fill('#fields label:has-text("count") + input', "many");
  await click("#send");
  const broken = await tab.waitForSelector('#fields .field:has(:text("count")):has(.mistake:text("invalid type"))');
  assert.ok(await broken.$("input[aria-invalid=true]"));
  // What the type does not know stays when the form writes the text.
  const text = JSON.parse((await tab.inputValue("#text")).replace("many", "2"));
  await tab.fill("#text", JSON.stringify({ ...text, note: "<b>kept</b>" }));
  await tab.fill('#fields label:has-text("count") + input', "2");
  await click("#send");
  await tab.waitForSelector('#log .received:has-text(\'"price": 6\')');
  const said = JSON.parse((await tab.textContent("#log > .sent:last-child > pre")) ?? "");
  assert.deepEqual([said.note, said.count, said.req_id], ["<b>kept</b>", 2, 3]);
  assert.equal(await tab.locator("#log b").count(), 0, "text is no markup");

  // Several replies to one request.
  await click('nav button:text-is("ticks")');
  await click("#send");
  await tab.waitForSelector('#log .received:has-text(\'"bid": 3.1\')');

  if (screenshots) await tab.screenshot({ path: `${screenshots}/console.png` });
  await accessible("in light colours");
  await tab.emulateMedia({ colorScheme: "dark" });
  await accessible("in dark colours");
  await tab.emulateMedia({ colorScheme: "light" });

  await click('#copies button:text-is("test")');
  const test = await tab.inputValue("#copy-text");
  assert.match(test, /TestHandshake::to\("\/v1\/tenant\?token=\*\*\*"\)/);
  assert.ok(clicks <= 12, `${clicks} clicks`);
  await accessible("with the dialog");
  await click("#copy-close");
  for (const way of ["curl and wscat", "TypeScript", "Rust"]) {
    await click(`#copies button:text-is("${way}")`);
    const copied = await tab.inputValue("#copy-text");
    assert.match(copied, /token=\*\*\*/, way);
    assert.doesNotMatch(copied, /secret/, way);
    await click("#copy-close");
  }

  // Pings are seen, and a close is said in words.
  await click("#ping");
  await tab.waitForSelector('#log :text("pong received: console")');
  await click("#close");
  await tab.waitForSelector('#log .closed:has-text("1000")');
  await click('#copies button:text-is("transcript")');
  console.log(await tab.inputValue("#copy-text"));
  await click("#copy-close");

  // By keyboard alone: another route, straight to its message.
  await tab.focus("#find");
  await tab.keyboard.type("legacy");
  await tab.keyboard.press("Tab");
  await tab.keyboard.press("Enter");
  assert.equal(await tab.textContent("#route-title"), "legacy.any");

  // Nothing is stored, and nothing was loaded from elsewhere.
  assert.deepEqual(await context.cookies(), []);
  assert.equal(await tab.evaluate(() => localStorage.length + sessionStorage.length), 0);
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(complaints, []);
} finally {
  await browser.close();
}
