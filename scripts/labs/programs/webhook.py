"""A webhook: webhook.py PORT BUSY. Prints the body of each POST, a line each; the first BUSY are answered with 503."""

import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request."""

    busy = int(sys.argv[2])

    def do_POST(self):
        """Takes a notice, or says that it cannot now."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if Handler.busy > 0:
            Handler.busy -= 1
            self.send_error(503)
            return
        print(body.decode(), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Says nothing."""


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
