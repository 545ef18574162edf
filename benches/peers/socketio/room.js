// What a client says reaches everybody in the room, at every node: `node room.js pubsub|streams --addr A --upstream URL`.
const { createServer } = require("node:http");
const { createAdapter: pubsub } = require("@socket.io/redis-adapter");
const { createAdapter: streams } = require("@socket.io/redis-streams-adapter");
const { createClient } = require("redis");
const { Server } = require("socket.io");

const option = (name) => process.argv[process.argv.indexOf(name) + 1];
const [host, port] = option("--addr").split(":");

async function connected(client) {
  client.on("error", () => process.exit(1));
  await client.connect();
  return client;
}

async function adapter(kind) {
  const redis = await connected(createClient({ url: option("--upstream") }));
  switch (kind) {
    case "pubsub":
      return pubsub(redis, await connected(redis.duplicate()));
    case "streams":
      return streams(redis);
  }
}

async function main() {
  const http = createServer();
  const io = new Server(http, { path: "/", transports: ["websocket"], adapter: await adapter(process.argv[2]) });
  io.on("connection", (socket) => {
    socket.join("room");
    socket.on("say", (said) => io.to("room").emit("said", said));
  });
  http.listen({ host, port: Number(port), backlog: 4096 });
}

main();
