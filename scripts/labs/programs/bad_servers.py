"""Servers that are bad in every way: bad_servers.py ADDRESS... Prints "there" when all listen.

Each way has a port, on every address; the name server has the addresses that are given.

    9001 garbage            9004 a head without an end      9006 chunks that make no sense
    9002 a body without end 9005 silence                    9053 (UDP) a name server that lies
    9003 one octet at a time
"""

import asyncio
import random
import struct
import sys

rng = random.Random(1)
GREETING = b"HTTP/1.1 200 OK\r\n"


async def garbage(reader, writer):
    """Says whatever comes to its mind."""
    await reader.read(100)
    while True:
        writer.write(rng.randbytes(rng.randrange(1, 3000)))
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless_body(reader, writer):
    """A right head, and a body that goes on for as long as somebody listens."""
    await reader.read(100)
    writer.write(GREETING + b"transfer-encoding: chunked\r\n\r\n")
    piece = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    while True:
        writer.write(piece)
        await writer.drain()


async def slowly(reader, writer):
    """An octet each tenth of a second."""
    await reader.read(100)
    for octet in GREETING + b"content-length: 5\r\n\r\nwell\n":
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def endless_head(reader, writer):
    """A head that goes on for as long as somebody listens."""
    await reader.read(100)
    writer.write(GREETING)
    while True:
        writer.write(b"x-more: " + b"y" * 8000 + b"\r\n")
        await writer.drain()


async def silence(reader, _writer):
    """Listens."""
    while await reader.read(4096):
        pass
    await asyncio.sleep(60)


async def bad_chunks(reader, writer):
    """Chunks of impossible sizes."""
    await reader.read(100)
    chunk = rng.choice((b"ffffffffffffffffff\r\n", b"-1\r\nx\r\n", b"zz\r\n", b"5\r\nwellX\r\n"))
    writer.write(GREETING + b"transfer-encoding: chunked\r\n\r\n" + chunk)
    await writer.drain()
    await asyncio.sleep(60)


class Liar(asyncio.DatagramProtocol):
    """A name server whose every answer is a lie."""

    def connection_made(self, transport):
        """Remembers whom to send by."""
        self.transport = transport

    def datagram_received(self, data, addr):
        """Answers."""
        question = data[12:]
        kind = rng.randrange(8)
        head = struct.pack("!HHHHHH", struct.unpack_from("!H", data)[0], 0x8180, 1, 1, 0, 0)
        record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes(4)
        answers = [
            rng.randbytes(rng.randrange(600)),
            struct.pack("!H", rng.randrange(65536)) + (head + question + record)[2:],  # of another question
            head + b"\x05other\x00" + struct.pack("!HH", 1, 1) + record,
            head + b"\xc0\x0c" + struct.pack("!HH", 1, 1) + record,  # a name that points to itself
            head + question + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 65535),  # more than there is
            head[:6] + struct.pack("!HHH", 65535, 65535, 65535) + question + bytes(1200),
            data,  # the question itself
            head[:2] + struct.pack("!H", 0x8182) + head[4:] + question,  # a failure
        ]
        self.transport.sendto(answers[kind], addr)


def patient(handle):
    """Whoever leaves is let go."""
    async def serve(reader, writer):
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    return serve


async def main():
    """Listens on all ports."""
    ways = {9001: garbage, 9002: endless_body, 9003: slowly, 9004: endless_head, 9005: silence, 9006: bad_chunks}
    servers = [await asyncio.start_server(patient(way), "0.0.0.0", port, backlog=1000) for port, way in ways.items()]
    # An answer must come from the address that was asked: one socket for each.
    loop = asyncio.get_running_loop()
    for address in sys.argv[1:]:
        await loop.create_datagram_endpoint(Liar, local_addr=(address, 9053))
    print("there", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
