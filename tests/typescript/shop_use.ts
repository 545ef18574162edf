// What the clients of the gateway in `typescript.rs` promise, and what they refuse.
import { type Codes, type Other, type Receipt, type ShopChannel, rooms, rpc, shop, ticketsRoom } from "./shop.ts";

const client = shop("wss://shop.example.com");
const found: Receipt | undefined = await client.request("find", { item: "tea" });
// @ts-expect-error there may be none
console.log(found.count);
const cancel = (of: number | string) => client.send("cancel", { of: Number(of) });
for await (const { count } of client.stream("ticks", { item: "" }, { cancel })) if (count > 2) break;
client.on("price", (event) => console.log(event.event === "up" ? event.price : -event.price));
// @ts-expect-error an event is one of these
client.on("price", (event) => event.event === "sideways");
// @ts-expect-error none of the codes of a closed route
const closed: Codes<ShopChannel, "order"> = "brand_new";
const open: Codes<ShopChannel, "broken"> = "brand_new" as Other;
console.log(closed, open);

// The key and the id are in a head that the client makes.
const tickets = ticketsRoom("wss://shop.example.com", { room: "a" }, { query: () => ({ token: "t" }) });
console.log((await tickets.request("room")).head.id);
// @ts-expect-error the room is text
ticketsRoom("wss://shop.example.com", { room: 7 });

const calls = rpc("wss://shop.example.com");
const sum: number = await calls.request("add", [1, 2]);
for await (const number of calls.stream("numbers")) console.log(sum + number);
// @ts-expect-error two numbers
await calls.request("add", [1]);
// @ts-expect-error a stream is no single reply
await calls.request("numbers");

const talk = rooms("wss://shop.example.com");
talk.send("follow", { group: "room:1", who: true });
for await (const told of talk.follow("follow", "room:1", { since: "5-7" })) {
  if ("data" in told) console.log(told.position, told.data);
  // @ts-expect-error not every one is a message
  console.log(told.data);
}
// @ts-expect-error nothing is followed by it
talk.follow("say", "room:1");
// @ts-expect-error its answers are those of the group
await talk.request("follow", { group: "room:1" });
