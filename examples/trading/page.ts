// The page of traders. `page.js` is made of it and of `client.ts`, which the gateway writes:
//     esbuild examples/trading/page.ts --bundle --format=esm --target=es2022 --outfile=examples/trading/page.js
import { GatewayError, market } from "./client.ts";

const byId = (id: string) => document.getElementById(id)!;
const number = (id: string) => (byId(id) as HTMLInputElement).valueAsNumber;
const euros = (cents: number) => (cents / 100).toFixed(2);

function say(text: string) {
  const line = document.createElement("li");
  line.textContent = text;
  byId("lines").prepend(line);
}

const client = market(location.origin.replace("http", "ws"), {
  onState: ({ is }) => {
    byId("state").textContent = is;
    byId("state").className = is;
  },
});

client.on("trade", ({ count, cents }) => say(`somebody got ${count} at ${euros(cents)}`));

byId("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  const limit = Math.round(number("limit") * 100);
  const bought = await client.result("order.place", { count: number("count"), limit });
  if (bought.ok) say(`you got ${bought.value.count} for ${euros(bought.value.paid)}`);
  else if (bought.error.code === "too_dear") say(`too dear: ${bought.error.message}`);
  // After `disconnected` it may have been carried out, so the client does not send it again.
  else say(`${bought.error.code}: ${bought.error.message}`);
});

const ends = ["disconnected", "interrupted", "closing"];
for (;;) {
  try {
    for await (const { cents } of client.stream("prices")) byId("price").textContent = euros(cents);
  } catch (error) {
    // A stream ends with its connection, also when the gateway closes it to restart; the next one is asked for once there
    // is another.
    if (!(error instanceof GatewayError && ends.includes(error.code))) throw error;
    await new Promise((done) => setTimeout(done, 500));
  }
}
