const { WebSocketServer } = require("ws");

const addr = process.argv[process.argv.indexOf("--addr") + 1];
const [host, port] = addr.split(":");
const server = new WebSocketServer({ host, port: Number(port), backlog: 4096, perMessageDeflate: false });

server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on("error", () => socket.terminate());
});
