const { WebSocketServer } = require("ws");

const addr = process.argv[process.argv.indexOf("--addr") + 1];
const [host, port] = addr.split(":");
// At the level of wasabi's default.
const perMessageDeflate = process.argv.includes("--deflate") && { zlibDeflateOptions: { level: 2 } };
const server = new WebSocketServer({ host, port: Number(port), backlog: 4096, perMessageDeflate });

server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on("error", () => socket.terminate());
});
