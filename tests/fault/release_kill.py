#!/usr/bin/env python3
"""Kills releases at each of their requests: release_kill.py COOPER HOST REPOSITORY WHAT

WHAT is release, rollback or promote. Between cooper and the registry at HOST stands a proxy, which
kills cooper at its N'th request, when the registry has answered it and before cooper hears of that:
what the registry has then is also what it has if cooper is killed before request N + 1. N goes up
until cooper gets through.

Each time, whatever tag there is must lead to a whole image, tags that existed must not be missing,
and a version must be what was released as it. Then the same command runs again, without the proxy,
and must complete.

Python 3.11, standard library only.
"""
import http.client
import http.server
import json
import os
import subprocess
import sys
import threading

ACCEPT = ", ".join("application/vnd.oci.image." + t + ".v1+json" for t in ("manifest", "index"))
FOLLOWING = ["1.4", "1", "latest"]


class Proxy(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = upstream
        self.lock = threading.Lock()
        self.count = 0
        self.kill_at = None
        self.victim = None
        self.was_killed = False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # cooper was killed in the middle of a request: that is what this is for

    def arm(self, kill_at):
        with self.lock:
            self.count = 0
            self.kill_at = kill_at
            self.victim = None
            self.was_killed = False

    def strike(self):
        self.victim.kill()
        self.victim.wait()
        self.was_killed = True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def forward(self):
        proxy = self.server
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size) if size else None
        with proxy.lock:  # one request at a time: what is killed, and when, is the same each time
            if proxy.was_killed:
                self.close_connection = True
                return
            proxy.count += 1
            connection = http.client.HTTPConnection(proxy.upstream, timeout=120)
            headers = {k: ", ".join(self.headers.get_all(k)) for k in set(self.headers)
                       if k.lower() not in ("connection", "expect", "transfer-encoding")}
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            if proxy.count == proxy.kill_at:
                proxy.strike()
                self.close_connection = True
                return
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            if key.lower() not in ("connection", "transfer-encoding", "content-length", "date"):
                self.send_header(key, value)
        length = answer.headers.get("Content-Length") if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = forward


class Registry:
    def __init__(self, host):
        self.host = host

    def ask(self, method, path):
        connection = http.client.HTTPConnection(self.host, timeout=120)
        connection.request(method, path, headers={"Accept": ACCEPT})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer, data

    def tags(self, repository):
        answer, data = self.ask("GET", f"/v2/{repository}/tags/list")
        return json.loads(data)["tags"] or [] if answer.status == 200 else []

    def check_whole(self, repository, tag):
        """The tag's digest; its image must be there, every byte of it."""
        answer, data = self.ask("GET", f"/v2/{repository}/manifests/{tag}")
        assert answer.status == 200, f"{repository}:{tag} is listed, and {answer.status}"
        manifest = json.loads(data)
        for one in [manifest["config"]] + manifest["layers"]:
            blob, content = self.ask("GET", f"/v2/{repository}/blobs/{one['digest']}")
            assert blob.status == 200 and len(content) == one["size"], f"{tag}: {one}"
        return answer.headers["Docker-Content-Digest"]


class Scene:
    """One repository a try: a version is there; another is released, or it is taken back."""

    def __init__(self, cooper, host, base, what):
        self.cooper, self.base, self.what = cooper, base, what
        self.registry = Registry(host)
        self.host = host
        self.ids = {n: self.run("inspect", f"app:{n}", parse=True)[0]["Id"] for n in (1, 2, 3)}
        if what == "promote":
            self.run("release", "-q", "app:3", f"{host}/{base}/staging", "1.4.2")

    def run(self, *arguments, parse=False):
        done = subprocess.run([self.cooper, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, (arguments, done.stderr)
        return json.loads(done.stdout) if parse else done.stdout

    def set_up(self, number):
        self.repository = f"{self.base}/try{number}"
        target = f"{self.host}/{self.repository}"
        if self.what == "rollback":
            self.run("release", "-q", "app:1", target, "1.4.0")
        self.run("release", "-q", "app:2", target, "1.4.1")
        self.after = self.ids[1] if self.what == "rollback" else self.ids[3]

    def command(self, host):
        target = f"{host}/{self.repository}"
        return {
            "release": ["release", "-q", "app:3", target, "1.4.2"],
            "rollback": ["rollback", "-q", "--yes", "--to", "1.4.0", target],
            "promote": ["promote", "-q", f"{self.host}/{self.base}/staging:1.4.2", target],
        }[self.what]

    def check(self):
        versions = {"1.4.0": self.ids[1], "1.4.1": self.ids[2], "1.4.2": self.ids[3]}
        tags = self.registry.tags(self.repository)
        for tag in ["1.4.1"] + FOLLOWING:
            assert tag in tags, f"{tag} is missing"
        for tag in tags:
            digest = self.registry.check_whole(self.repository, tag) \
                if not tag.startswith("sha256-") else None
            if tag in versions:
                assert digest == versions[tag], f"{tag} is {digest}"
            if tag in FOLLOWING:
                assert digest in (self.ids[2], self.after), f"{tag} is {digest}"
                if digest == self.ids[3]:
                    assert "1.4.2" in tags, f"{tag} moved before its version was there"

    def check_complete(self):
        self.run(*self.command(self.host))
        self.check()
        moved = ["latest"] if self.what == "rollback" else FOLLOWING + ["1.4.2"]
        for tag in moved:
            digest = self.registry.check_whole(self.repository, tag)
            assert digest == self.after, f"{tag} is {digest} in the end"
        log = [json.loads(line) for line in self.run(
            "log", "--remote", "--format", "json",
            f"{self.host}/{self.repository}:latest").splitlines()]
        states = [(one["to"], one.get("command")) for one in log[:2]]
        assert states == [(self.after, self.what), (self.ids[2], "release")], states
        left = [t for t in self.registry.tags(self.repository) if t.startswith("cooper-claim")]
        assert not left, left


def main():
    cooper, host, base, what = sys.argv[1:]
    base = os.path.join(base, what)
    scene = Scene(cooper, host, base, what)
    proxy = Proxy(host)
    through = f"127.0.0.1:{proxy.server_address[1]}"
    number = 0
    while True:
        number += 1
        scene.set_up(number)
        proxy.arm(number)
        with proxy.lock:
            proxy.victim = subprocess.Popen(
                [cooper, *scene.command(through)], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        _, said = proxy.victim.communicate(timeout=600)
        status = proxy.victim.returncode
        with proxy.lock:
            was_killed = proxy.was_killed
        if not was_killed:
            assert status == 0, f"request {number} was not made: status {status}: {said}"
            break
        try:
            scene.check()
            scene.check_complete()
        except AssertionError as fault:
            sys.exit(f"killed at request {number}: {fault}")
    assert number > 10, f"only {number} requests?"
    print(f"{number - 1} requests")


if __name__ == "__main__":
    main()
