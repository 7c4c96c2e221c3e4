"""A slow network connection between a client and the services."""

import asyncio
from typing import Final

from starlette.types import Message, Receive, Send

PIECE_S: Final = 0.1  # how often a piece of an answer is sent


class NarrowLine:
    """Passes on the bodies of a request and of its answer at *bytes_per_s*.

    The client can send as much as fits into the buffers of the kernel and the web server (some
    100 kB) at once; the answer is still delayed as if it had been sent slowly.
    """

    def __init__(self, receive: Receive, send: Send, bytes_per_s: float) -> None:
        self._receive = receive
        self._send = send
        self._bytes_per_s = bytes_per_s

    async def receive(self) -> Message:
        """Pass on a piece of the request's body."""
        message = await self._receive()
        await self._wait(message)
        return message

    async def send(self, message: Message) -> None:
        """Pass on a piece of the answer in small parts."""
        body = message.get("body", b"")
        step = max(1, int(self._bytes_per_s * PIECE_S))
        while len(body) > step:
            piece, body = body[:step], body[step:]
            await self._send_piece({**message, "body": piece, "more_body": True})
        await self._send_piece({**message, "body": body} if body else message)

    async def _send_piece(self, message: Message) -> None:
        await self._wait(message)
        await self._send(message)

    async def _wait(self, message: Message) -> None:
        await asyncio.sleep(len(message.get("body", b"")) / self._bytes_per_s)
