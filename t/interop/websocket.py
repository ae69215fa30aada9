"""Speaks WebSocket with an echo server by the library `websockets`: websocket.py URL [deflate].  Prints what was agreed on and "ok"."""
import asyncio
import os
import sys

import websockets

MESSAGES = ["hello", "ü" * 1000, "", b"", b"\x00\xff" * 100, "x" * 70000, "y" * 1000000, os.urandom(1500000)]


async def main(url, compression):
    async with websockets.connect(url, max_size=None, compression=compression, subprotocols=["echo.v1"]) as socket:
        print(socket.subprotocol, " ".join(e.name for e in socket.extensions) or "-")
        for sent in MESSAGES:
            await socket.send(sent)
            got = await socket.recv()
            assert got == sent, f"{len(sent)} sent, {len(got)} came back"
        await socket.send(["in ", "three ", "fragments"])
        assert await socket.recv() == "in three fragments"
        await asyncio.wait_for(await socket.ping(b"are you there"), 10)
        await socket.close(4000, "enough")
        assert socket.close_code == 4000, socket.close_code
    print("ok")


asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
