// What a browser can say of who it is, in Chromium: login.mjs path/of/the/example
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { chromium } = createRequire(`${process.env.WASABI_TEST_TOOLS}/node/`)("playwright-core");

const server = spawn(process.argv[2], ["127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
let address;
for await (const line of createInterface({ input: server.stdout })) {
  address = line.match(/http:\/\/([^/]*)\//)?.[1];
  if (address) break;
}
// Root, as which containers run, has no sandbox.
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const context = await browser.newContext();
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  await page.goto(`http://${address}/`);

  /** Opens a WebSocket, says something, and tells the first reply, or the code of the close. */
  const open = (path, protocols, message = "{}") =>
    page.evaluate(
      ([path, protocols, message]) =>
        new Promise((done) => {
          const socket = new WebSocket(`ws://${location.host}${path}`, protocols);
          socket.onopen = () => socket.send(message);
          socket.onmessage = ({ data }) => done({ protocol: socket.protocol, reply: JSON.parse(data) });
          socket.onclose = ({ code }) => done({ code });
        }),
      [path, protocols, message],
    );

  const alice = { protocol: "", reply: { user: "alice" } };
  assert.deepEqual(await open("/strict?token=alice.token", []), alice);
  const chosen = { protocol: "whoami", reply: { user: "alice" } };
  assert.deepEqual(await open("/strict", ["whoami", "bearer.alice.token"]), chosen);
  assert.deepEqual(await open("/strict", ["bearer.alice.token", "whoami"]), chosen);

  // A browser cannot read a 401, and can read this.
  assert.deepEqual(await open("/strict", []), { code: 4401 });
  assert.deepEqual(await open("/strict?token=nonsense", []), { code: 4401 });
  assert.deepEqual(await open("/strict", ["whoami", "bearer.nonsense"]), { code: 4401 });

  await context.addCookies([{ name: "session", value: "bob.token", url: `http://${address}/` }]);
  assert.deepEqual(await open("/strict", []), { protocol: "", reply: { user: "bob" } });
  await context.clearCookies();

  // With the first message; who does not, is closed after the deadline.
  const welcome = { protocol: "", reply: { welcome: "alice" } };
  assert.deepEqual(await open("/ws", [], '{"action":"login","token":"alice.token"}'), welcome);
  await page.waitForSelector('#state:has-text("log in, please")');
  await page.click("#login button");
  await page.waitForSelector('#state:has-text("hello, alice")');
} finally {
  await browser.close();
  server.kill();
}
