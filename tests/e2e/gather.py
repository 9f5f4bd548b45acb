#!/usr/bin/env python3
"""A proxy before a registry that tells how many questions for blobs come at once.

gather.py REGISTRY PORT_FILE STATS_FILE: listens on a free port of 127.0.0.1, whose number it writes
to PORT_FILE, and passes everything on to REGISTRY (host:port). A HEAD of a blob waits until another
one has come, at most 20 seconds; STATS_FILE then says how many there were in all, and how many at
once at most: "HEADS MOST".

Python 3.11, standard library only.
"""
import http.client
import http.server
import os
import sys
import threading

WAIT_S = 20


class Stats:
    def __init__(self, path):
        self.path = path
        self.change = threading.Condition()
        self.now = self.most = self.all = 0

    def enter(self):
        with self.change:
            self.now += 1
            self.all += 1
            self.most = max(self.most, self.now)
            self.write()
            self.change.notify_all()
            self.change.wait_for(lambda: self.most > 1, timeout=WAIT_S)

    def leave(self):
        with self.change:
            self.now -= 1

    def write(self):
        with open(self.path + ".new", "w") as f:
            f.write(f"{self.all} {self.most}\n")
        os.rename(self.path + ".new", self.path)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry = None
    stats = None

    def pass_on(self):
        asks = self.command == "HEAD" and "/blobs/" in self.path
        if asks:
            self.stats.enter()
        try:
            self.exchange()
        finally:
            if asks:
                self.stats.leave()

    def exchange(self):
        size = int(self.headers.get("Content-Length") or 0)
        there = http.client.HTTPConnection(self.registry, timeout=120)
        there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():  # some of them come several times
            if name.lower() not in ("connection", "expect"):
                there.putheader(name, value)
        there.endheaders(self.rfile.read(size) if size else None)
        answer = there.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        there.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = pass_on

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


def main():
    Handler.registry, port_file, stats_file = sys.argv[1:]
    Handler.stats = Stats(stats_file)
    Handler.stats.write()
    server = Server(("127.0.0.1", 0), Handler)
    with open(port_file + ".new", "w") as f:
        f.write(str(server.server_address[1]))
    os.rename(port_file + ".new", port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
