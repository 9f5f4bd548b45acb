"""Serves the trained network: POST /predict {"points": [[x, y], ...]}; GET /healthz."""

import json
import os
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ.get("PORT", "8000"))
BODY_MAX = 1 << 20


def points_of(body):
    points = json.loads(body)["points"]
    if not points or not all(len(point) == 2 for point in points):
        raise ValueError("points is a list of pairs")
    return [[float(x), float(y)] for x, y in points]


def handler_class(predict):
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status, value):
            body = (json.dumps(value) + "\n").encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            if self.path == "/healthz":
                self.answer(200, {"status": "ok"})
            else:
                self.answer(404, {"error": "no such page"})

        def do_POST(self):
            size = int(self.headers.get("Content-Length", "0"))
            if self.path != "/predict":
                self.answer(404, {"error": "no such page"})
            elif size > BODY_MAX:
                self.answer(413, {"error": "too many points"})
            else:
                try:
                    points = points_of(self.rfile.read(size))
                except (ValueError, KeyError, TypeError) as error:
                    self.answer(400, {"error": str(error)})
                    return
                self.answer(200, {"predictions": predict(points)})

        def log_message(self, text, *values):
            print(f"{self.address_string()} {text % values}", file=sys.stderr)

    return Handler


def serve():
    # Loaded here, as the health check does without it.
    import torch

    from model import network

    torch.set_num_threads(1)
    net = network()
    net.load_state_dict(torch.load(os.path.join(os.path.dirname(__file__), "model.pt")))
    net.eval()

    def predict(points):
        with torch.no_grad():
            answers = net(torch.tensor(points)).squeeze(1).tolist()
        return [{"in_ring": p > 0.5, "probability": round(p, 3)} for p in answers]

    # The first process of a container has no default handlers of signals.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = ThreadingHTTPServer(("", PORT), handler_class(predict))
    print(f"serving on port {PORT}", file=sys.stderr)
    server.serve_forever()


if sys.argv[1:] == ["--check"]:
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=4).close()
else:
    serve()
