"""One TCP connection that is held for long, as ssh would hold it; and both of its ends.

    session.py serve PORT            sends back what comes on each connection
    session.py talk ADDRESS PORT     sends a numbered line each 20 ms until SIGTERM, waits for the rest, prints one JSON object

It is one connection: whatever happens to it, it is not opened again.
"""

import json
import signal
import socket
import sys
import threading
import time

PAUSE = 0.02
PATIENCE = 20


def serve(port):
    """Sends back what comes, for ever."""
    listener = socket.create_server(("", port), reuse_port=True)

    def echo(connection):
        with connection:
            while part := connection.recv(65536):
                connection.sendall(part)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def talk(address, port):
    """Sends lines and counts what comes back, in order."""
    result = {"sent": 0, "back": 0, "longest_silence": 0.0, "error": ""}
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    connection = socket.create_connection((address, port), timeout=PATIENCE)

    def listen():
        heard = time.monotonic()
        try:
            for line in connection.makefile():
                if int(line) != result["back"]:
                    raise ValueError(f"{line.strip()} in place of {result['back']}")
                now = time.monotonic()
                result["longest_silence"] = max(result["longest_silence"], now - heard)
                result["back"], heard = result["back"] + 1, now
        except (OSError, ValueError) as error:
            result["error"] = str(error)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        while not ended.wait(PAUSE):
            connection.sendall(f"{result['sent']}\n".encode())
            result["sent"] += 1
        connection.shutdown(socket.SHUT_WR)
    except OSError as error:
        result["error"] = str(error)
    listener.join(PATIENCE)
    print(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        talk(sys.argv[2], int(sys.argv[3]))
