"""What the quickstart promises, asked by Python's websockets: contract.py ws://127.0.0.1:8080"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect


async def ask(socket, request):
    await socket.send(request if isinstance(request, str) else json.dumps(request))
    return json.loads(await asyncio.wait_for(socket.recv(), 5))


async def main(url):
    async with connect(f"{url}/echo") as socket:
        for message in ["", "hello", "grüße 👋", "x" * 32768, b"", b"\x00\x01\xff", bytes(20000)]:
            await socket.send(message)
            assert await asyncio.wait_for(socket.recv(), 5) == message
        await asyncio.wait_for(await socket.ping(), 5)

    async with connect(url) as socket:
        reply = await ask(socket, {"action": "sum", "id": 7, "values": [1, 2, 3]})
        assert reply == {"id": 7, "sum": 6}, reply
        reply = await ask(socket, {"action": "time", "id": 8})
        assert reply["id"] == 8 and "time" in reply, reply
        reply = await ask(socket, {"action": "nope", "id": "a-1"})
        assert reply["id"] == "a-1" and reply["error"]["code"] == "no_route", reply
        assert reply["error"]["message"], reply
        reply = await ask(socket, {"action": "sum", "id": 9, "values": "x"})
        assert reply["id"] == 9 and reply["error"]["code"] == "invalid_params", reply
        reply = await ask(socket, "this is not JSON")
        assert "id" not in reply and reply["error"]["code"] == "unreadable", reply
        # Many at once: every request has its reply.
        for n in range(100):
            await socket.send(json.dumps({"action": "time", "id": n}))
        ids = {json.loads(await asyncio.wait_for(socket.recv(), 5))["id"] for _ in range(100)}
        assert ids == set(range(100)), ids


asyncio.run(main(sys.argv[1]))
print("ok")
