"""Connections that are held, all at once: holding.py serve PORT NAME answers each token with itself and the name;
holding.py hold VIP PORT COUNT ADDRESS opens COUNT from this address, and asks on each, twice, with a token of its own.

Of each round one JSON line is printed: how many were answered, and for each that was right who answered and whom that one saw. Then they
are held until SIGTERM, which closes them.
"""

import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections import Counter

FIRST_PORT = 10000
FLYING = 50  # connections that are on their way at a time
PATIENCE = 900  # in seconds, for each step: a busy machine opens some hundred a second
SERVERS = 3  # processes: each may open so many files and no more


def main():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if sys.argv[1] == "serve":
        for _ in range(SERVERS - 1):
            if os.fork() == 0:
                break
        serve(int(sys.argv[2]), sys.argv[3])
    else:
        hold(*sys.argv[2:4], int(sys.argv[4]), sys.argv[5])


def serve(port, name):
    """Echoes, with the peer as it is seen here."""
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096, reuse_port=True)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    streams = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                accept(listener, poll, streams)
                continue
            stream, peer = streams[number]
            try:
                token = stream.recv(64)
            except BlockingIOError:
                continue  # of one that was closed in this round, and whose number a new one has
            except OSError:
                token = b""
            if token:
                stream.send(f"{token.decode()} {name} {peer}\n".encode())
            else:
                poll.unregister(number)
                del streams[number]
                stream.close()


def accept(listener, poll, streams):
    try:
        for _ in range(256):
            stream, peer = listener.accept()
            stream.setblocking(False)
            streams[stream.fileno()] = stream, f"{peer[0]}#{peer[1]}"
            poll.register(stream.fileno(), select.EPOLLIN)
    except BlockingIOError:
        pass


def hold(vip, port, count, address):
    """Opens them, asks, asks again, and holds them."""
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    family = socket.AF_INET6 if ":" in vip else socket.AF_INET
    poll, streams, waiting = select.epoll(), {}, list(range(count))
    started = time.monotonic()
    answers = {}

    def ask(stream, number, salt):
        token = f"{salt}-{number}"
        stream.send(token.encode())
        return token

    flying, errors = {}, Counter()
    deadline = time.monotonic() + PATIENCE
    while (waiting or flying) and time.monotonic() < deadline:
        while waiting and len(flying) < FLYING:
            number = waiting.pop()
            stream = socket.socket(family, socket.SOCK_STREAM)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stream.setblocking(False)
            stream.bind((address, FIRST_PORT + number))
            stream.connect_ex((vip, int(port)))
            flying[stream.fileno()] = number
            streams[number] = stream
            poll.register(stream.fileno(), select.EPOLLOUT)
        for file, _ in poll.poll(1):
            number = flying.pop(file)
            poll.unregister(file)
            error = streams[number].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                errors[error] += 1
                streams.pop(number).close()
    for file, number in flying.items():
        errors["unanswered"] += 1
        poll.unregister(file)
        streams.pop(number).close()
    opened = len(streams)
    for salt in ("first", "second"):
        answers = rounds(poll, streams, salt, ask)
        report(salt, count, opened, answers, errors, time.monotonic() - started)
    while not told:
        time.sleep(0.1)
    # By a reset: its ports are free again at once, here and there. A reset that is lost nobody sends again, so not all at once.
    for number, stream in enumerate(streams.values()):
        if number % 4 == 0:
            time.sleep(0.01)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()


def rounds(poll, streams, salt, ask):
    """Asks on every connection, some at a time, and returns what came, by its number."""
    answers, waiting, flying = {}, list(streams), {}
    deadline = time.monotonic() + PATIENCE
    while (waiting or flying) and time.monotonic() < deadline:
        while waiting and len(flying) < FLYING:
            number = waiting.pop()
            try:
                flying[streams[number].fileno()] = number, ask(streams[number], number, salt)
                poll.register(streams[number].fileno(), select.EPOLLIN)
            except OSError as error:
                answers[number] = "", f"- {error}"
        for file, _ in poll.poll(1):
            number, token = flying.pop(file)
            poll.unregister(file)
            try:
                answers[number] = token, streams[number].recv(256).decode()
            except OSError as error:
                answers[number] = token, f"- {error}"
    for file in flying:
        poll.unregister(file)
    return answers


def report(salt, asked, opened, answers, errors, seconds):
    """Prints what a round has come to."""
    parsed = [(token, *(answer.split() + [""] * 3)[:3]) for token, answer in answers.values()]
    right = [[name, peer] for token, said, name, peer in parsed if said == token and peer]
    print(json.dumps({"round": salt, "asked": asked, "opened": opened, "right": right, "errors": errors, "seconds": round(seconds, 1)}), flush=True)


main()
