"""An echo channel that compresses, asked by Python's websockets: compression.py ws://127.0.0.1:8080/"""

import asyncio
import random
import sys

from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


async def main(url):
    noise = random.Random(7).randbytes(20000)
    messages = ["", "hello", "grüße 👋 " * 500, "x" * 32768, b"", b"\x00\x01\xff" * 3000, noise]
    factories = [
        {},
        {"client_max_window_bits": True},
        {"server_max_window_bits": 9, "client_max_window_bits": 9},
        {"server_no_context_takeover": True, "client_no_context_takeover": True},
        {"client_no_context_takeover": True, "server_max_window_bits": 12},
    ]
    for parameters in factories:
        offer = ClientPerMessageDeflateFactory(**parameters)
        async with connect(url, extensions=[offer], compression=None) as socket:
            assert [e.name for e in socket.protocol.extensions] == ["permessage-deflate"], parameters
            for _ in range(3):
                for message in messages:
                    await socket.send(message)
                    assert await asyncio.wait_for(socket.recv(), 10) == message, parameters
            # In fragments.
            await socket.send(["one ", "message " * 100, "in three"])
            assert await asyncio.wait_for(socket.recv(), 10) == "one " + "message " * 100 + "in three"

    async with connect(url, compression=None) as socket:
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
        await socket.send("x" * 5000)
        assert await asyncio.wait_for(socket.recv(), 10) == "x" * 5000

    # What the library offers by itself.
    async with connect(url) as socket:
        assert "permessage-deflate" in socket.response.headers["Sec-WebSocket-Extensions"]
        await socket.send("x" * 5000)
        assert await asyncio.wait_for(socket.recv(), 10) == "x" * 5000


asyncio.run(main(sys.argv[1]))
print("ok")
