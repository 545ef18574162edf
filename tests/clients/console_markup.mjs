// What a gateway with markup in its comments and messages looks like in the console: console_markup.mjs <page>
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { chromium } = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`)("playwright-core");
const [page] = process.argv.slice(2);
const markup = "<b>bold</b><img src=x onerror=fail()>";

// Root, as which containers run, has no sandbox.
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const tab = await browser.newPage();
  tab.setDefaultTimeout(20_000);
  const complaints = [];
  tab.on("pageerror", (error) => complaints.push(String(error)));
  tab.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await tab.goto(page);
  await tab.click('nav button:text-is("say")');
  // The comments of the channel, of the route, and of a member of its type.
  for (const place of ["#channel", "#route-docs", "#fields"]) {
    assert.ok((await tab.textContent(place))?.includes(markup), place);
  }
  await tab.fill('#fields label:has-text("text") + input', markup);
  await tab.click("#open");
  await tab.waitForSelector('#state:has-text("Connected to /")');
  await tab.click("#send");
  await tab.waitForSelector(`#log .sent .received:has-text("bold")`);
  assert.ok((await tab.textContent("#log .received"))?.includes(markup));
  assert.equal(await tab.locator("b, img").count(), 0);
  assert.deepEqual(complaints, []);
} finally {
  await browser.close();
}
