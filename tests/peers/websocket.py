"""Both ends of a WebSocket, by a library that is not ours.

    websocket.py serve PORT
        Echoes every message. Prints a line once it listens.
    websocket.py talk PORT HOST CA PATH TOKEN
        Connects, then obeys lines on its input: `send TEXT` sends it and prints the message that comes back, `wait`
        waits for the end of the connection. Prints one JSON object a line: `open`, `refused`, `received` or `closed`.
"""

import asyncio
import json
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus


def tell(**what):
    print(json.dumps(what), flush=True)


async def echo(connection):
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass  # a tunnel may be cut


async def run_server(port):
    # No pings: a silent tunnel must live by itself.
    async with serve(echo, "127.0.0.1", int(port), ping_interval=None):
        print("listening", flush=True)
        await asyncio.get_running_loop().create_future()


async def talk(port, host, ca, path, token):
    context = ssl.create_default_context(cafile=ca)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    opening = connect(
        f"wss://{host}:{port}{path}", host="127.0.0.1", port=int(port), ssl=context, server_hostname=host,
        additional_headers=headers, ping_interval=None, proxy=None,
    )
    try:
        connection = await opening
    except InvalidStatus as refusal:
        tell(refused=refusal.response.status_code)
        return
    tell(open=True)
    loop = asyncio.get_running_loop()
    try:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command, _, text = line.rstrip("\n").partition(" ")
            if command == "send":
                await connection.send(text)
            tell(received=await connection.recv())
    except ConnectionClosed as end:
        tell(closed=end.rcvd.code if end.rcvd else None)


command = {"serve": run_server, "talk": talk}[sys.argv[1]]
asyncio.run(command(*sys.argv[2:]))
