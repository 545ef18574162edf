// The page of the example `trading` in Chromium: browser.mjs address
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { chromium } = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`)("playwright-core");
const [, , address] = process.argv;

// Root, as which containers run, has no sandbox.
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const errors = [];
  async function open() {
    const page = await browser.newPage();
    page.setDefaultTimeout(20_000);
    page.on("pageerror", (error) => errors.push(error));
    await page.goto(`http://${address}/`);
    await page.waitForSelector("#state.open");
    await page.waitForSelector('#price:has-text("3.00")');
    return page;
  }
  const says = (page, text) => page.waitForSelector(`#lines li:has-text("${text}")`);

  const [ada, bob] = [await open(), await open()];
  await ada.press("#count", "Enter");
  await says(ada, "you got 5 for 15.00");
  await says(bob, "somebody got 5 at 3.00");
  await bob.waitForSelector('#price:has-text("3.05")');
  await bob.click("button");
  await says(bob, "too dear: a piece costs 305 cents");
  assert.deepEqual(errors, []);
} finally {
  await browser.close();
}
