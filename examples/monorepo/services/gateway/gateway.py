"""The door to the other services: GET /welcome?name=NAME greets and counts."""

import json
import os
import signal
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GREETER = os.environ["GREETER"]
COUNTER = os.environ["COUNTER"]


def ask(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode().strip()


class Gateway(BaseHTTPRequestHandler):
    def answer(self, status, value):
        body = (json.dumps(value) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/healthz":
            self.answer(200, {"status": "ok"})
        elif url.path != "/welcome":
            self.answer(404, {"error": "no such page"})
        else:
            try:
                self.answer(200, {"greeting": ask(f"{GREETER}/?{url.query}"),
                                  "visit": int(ask(f"{COUNTER}/visit"))})
            except (urllib.error.URLError, ValueError) as error:
                self.answer(502, {"error": str(error)})

    def log_message(self, text, *values):
        print(f"{self.address_string()} {text % values}", file=sys.stderr)


# The first process of a container has no default handlers of signals.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
port = int(os.environ["PORT"])
print(f"gateway: serving on port {port}", file=sys.stderr)
ThreadingHTTPServer(("", port), Gateway).serve_forever()
