// What the clients of `examples/asyncapi.rs` promise, and what they refuse.
import { type Codes, type V1TenantChannel, GatewayError, echo, v1Tenant } from "./trading.ts";

const token = async () => ({ token: "fresh" });
const trading = v1Tenant("wss://api.example.com", { tenant: "acme" }, { query: token });

const receipt = await trading.request("order.place", { item: "tea", count: 2 }, { timeoutMs: 500 });
const price: number = receipt.price;
const result = await trading.result("order.place", { item: "tea" }, { idempotent: true });
if (result.ok) console.log(result.value.price === price);
else
  switch (result.error.code) {
    case "sold_out":
    case "timed_out":
    case "disconnected":
      console.log(result.error.sent, result.error.retryAfterMs);
      break;
    // @ts-expect-error a code that the route does not have
    case "sold_put":
      break;
  }
try {
  await trading.request("order.place", { item: "tea" });
} catch (error) {
  if (error instanceof GatewayError) console.log(error.code, error.message, error.id);
}
const codes: Codes<V1TenantChannel, "order.place"> = "sold_out";
console.log(codes);

// What answers is not known: a reply, or several.
const quote: unknown = await trading.request("quote", { anything: 1 });
for await (const each of trading.stream("legacy.prices")) console.log(each, quote);
trading.send("legacy.hello", {});
const id: number | string | undefined = trading.send("session.forget");
console.log(id);
const stop = trading.on("Tick", ({ symbol, bid }) => console.log(symbol.length, bid.toFixed()));
trading.send("ticks");
stop();
trading.close(1000, "done");

const said: boolean = echo("wss://api.example.com", { protocols: () => ["v1"] }).post("hello");
console.log(said);

// @ts-expect-error a field is missing
await trading.request("order.place", {});
// @ts-expect-error there is no body
await trading.request("order.place");
// @ts-expect-error a field of another type
await trading.request("order.place", { item: 7 });
// @ts-expect-error a field that there is not
await trading.request("order.place", { item: "tea", colour: "green" });
// @ts-expect-error the client makes the id
await trading.request("order.place", { item: "tea", req_id: 7 });
// @ts-expect-error no such route
await trading.request("order.cancel", {});
// @ts-expect-error no such field in the reply
console.log(receipt.total);
// @ts-expect-error no reply comes
await trading.request("session.forget");
// @ts-expect-error nothing tells whose its replies are
await trading.request("ticks");
// @ts-expect-error one reply is no stream
trading.stream("order.place", { item: "tea" });
// @ts-expect-error there is a reply to wait for
trading.send("order.place", { item: "tea" });
// @ts-expect-error no such event
trading.on("Tock", () => {});
// @ts-expect-error no such option
await trading.request("order.place", { item: "tea" }, { deadline: 7 });
// @ts-expect-error this channel has keys
trading.post("hello");
// @ts-expect-error this channel has none
echo("wss://api.example.com").send("hello");
// @ts-expect-error it takes text
echo("wss://api.example.com").post(7);
// @ts-expect-error the path parameter is missing
v1Tenant("wss://api.example.com", {});
// @ts-expect-error no such parameter of the query
v1Tenant("wss://api.example.com", { tenant: "acme" }, { query: () => ({ tokn: "fresh" }) });
// @ts-expect-error the reason may not be known
const reason: "sold_out" = result.ok || result.error.code;
console.log(reason);
