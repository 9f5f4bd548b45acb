#!/usr/bin/env python3
"""Looks at a registry's pages as a person with a browser does: serve_page.py HOST:PORT [BROWSER].

Pushes images whose every word is hostile, reads the pages that show them, once with a parser and, if
BROWSER (chromium's headless shell) is given, once more as that browser understands them, follows all
links, and compares what is shown with what was pushed.

Python 3.11, standard library only.
"""
import hashlib
import html.parser
import http.client
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
POLICY = ("default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'")
OWNED = "<script>document.title='owned'</script>"
IMAGE = "\"'><img src=x onerror=\"document.title='owned'\">"
ELEMENTS = set("html head meta title link body header main a h1 h2 p pre code table thead tbody tr "
               "th td span time".split())
ATTRIBUTES = {"lang", "charset", "name", "content", "rel", "href", "id", "class", "scope", "title"}
BROWSER_TRIES = 3


class Registry:
    def __init__(self, address):
        self.address = address

    def ask(self, method, path, body=None, headers=()):
        client = http.client.HTTPConnection(self.address, timeout=300)
        client.request(method, path, body, dict(headers))
        answer = client.getresponse()
        text = answer.read()
        client.close()
        return answer, text

    def need(self, status, method, path, body=None, headers=()):
        answer, text = self.ask(method, path, body, headers)
        assert answer.status == status, (method, path, answer.status, text)
        return answer, text

    def blob(self, repository, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.need(201, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)
        return digest

    def manifest(self, repository, reference, document):
        data = json.dumps(document).encode()
        self.need(201, "PUT", f"/v2/{repository}/manifests/{reference}", data,
                  {"Content-Type": document["mediaType"]})
        return {"mediaType": document["mediaType"], "size": len(data),
                "digest": "sha256:" + hashlib.sha256(data).hexdigest()}

    def image(self, repository, reference, config, **more):
        layer, text = os.urandom(1234), json.dumps(config).encode()
        return self.manifest(repository, reference, {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(text), "digest": self.blob(repository, text)},
            "layers": [{"mediaType": LAYER, "size": len(layer), "digest": self.blob(repository, layer)}],
            **more})


class Page(html.parser.HTMLParser):
    """The elements of a page, what stands in the rows of each table, and where its links lead."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.links, self.title, self.text = {}, [], "", ""
        self.table, self.open = None, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        assert tag in ELEMENTS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, (tag, name, value)
        attrs = dict(attrs)
        if "href" in attrs:
            assert attrs["href"].startswith("/") and not attrs["href"].startswith("//"), attrs
            self.links.append(attrs["href"])
        if tag == "table":
            self.table = self.tables.setdefault(attrs["id"], [])
        elif tag == "tr":
            self.table.append([])
        elif tag in ("td", "th"):
            self.table[-1].append("")
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.text += data
        if "title" in self.open:
            self.title += data
        if "td" in self.open or "th" in self.open:
            self.table[-1][-1] += data

    def handle_comment(self, data):
        raise AssertionError("a comment: " + data)

    def pairs(self, name):
        return {row[0]: row[1] for row in self.tables.get(name, [])}


class Viewer:
    def __init__(self, registry, browser):
        self.registry, self.browser = registry, browser

    def look(self, path, status=200):
        answer, text = self.registry.need(status, "GET", path)
        assert answer.getheader("Content-Type") == "text/html; charset=utf-8", path
        assert answer.getheader("Content-Security-Policy") == POLICY, path
        assert answer.getheader("X-Content-Type-Options") == "nosniff", path
        head, nothing = self.registry.need(status, "HEAD", path)
        assert head.getheader("Content-Length") == str(len(text)) and not nothing, path
        page = Page(text.decode())
        assert "owned" not in page.title or "script" in page.title, page.title
        return page

    def browse(self, path):
        """The page as the browser has it when scripts, if there were any, have run."""
        page = self.look(path)
        if not self.browser:
            return page
        seen = Page(self.dump(path))
        assert seen.title == page.title, (seen.title, page.title)
        assert seen.tables == page.tables, path
        assert seen.links == page.links, path
        return seen

    def dump(self, path):
        with tempfile.TemporaryDirectory() as profile:
            command = [self.browser, "--headless", "--no-sandbox", "--disable-gpu",
                       "--disable-dev-shm-usage", "--no-proxy-server",
                       "--user-data-dir=" + profile, "--dump-dom",
                       f"http://{self.registry.address}{path}"]
            # A browser is a large program that may fail for reasons of its own.
            for _ in range(BROWSER_TRIES):
                done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                      timeout=600, check=False)
                if done.returncode == 0 and done.stdout:
                    return done.stdout.decode().removeprefix("<!DOCTYPE html>")
        raise AssertionError(done.stderr.decode())


def crawl(viewer):
    """All that can be reached is there, and nothing of it is odd."""
    todo, seen = ["/"], set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.startswith("/v2/") or path == "/style.css":
            viewer.registry.need(200, "GET", path)
        else:
            todo += viewer.look(path).links
    return seen


def short(descriptor):
    return descriptor["digest"].split(":")[1][:12]


def hostile_image(registry):
    config = {
        "os": "linux", "architecture": "amd64" + OWNED, "author": IMAGE, "created": "2026-01-02T03:04:05Z",
        "config": {
            "Env": ["A=<b>&amp;</b>", "B=" + OWNED], "Cmd": ["/bin/sh", OWNED], "User": OWNED,
            "WorkingDir": IMAGE, "ExposedPorts": {"80/tcp": {}, OWNED: {}},
            "Labels": {OWNED: IMAGE, "turned": "abc\u202edef\u2066", "control": "a\u0001\u009bb\u007f",
                       "entities": "&lt;&#60;&amp;", "long": "x" * 10000, "wide": "\u00e9\u4e2d\U0001f600"},
        },
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [{"created_by": "ENV x", "empty_layer": True},
                    {"created_by": "</code></td></tr></table></main>" + OWNED}],
    }
    return config, registry.image("hostile/app", "1", config, annotations={OWNED: IMAGE})


def check_image(viewer, config, pushed):
    page = viewer.browse("/?repository=hostile/app&tag=1")
    assert page.title == "hostile/app:1", page.title
    assert page.pairs("target")["Digest"] == pushed["digest"]
    labels, said = page.pairs("labels"), config["config"]["Labels"]
    assert labels[OWNED] == IMAGE and labels["entities"] == said["entities"]
    assert labels["wide"] == said["wide"]
    assert labels["turned"] == "abc\\u{202e}def\\u{2066}", labels["turned"]
    assert labels["control"] == "a\ufffd\ufffdb\ufffd", labels["control"]
    assert labels["long"] == "x" * 4096 + "\u2026"
    assert page.pairs("annotations") == {OWNED: IMAGE}
    shown = page.pairs("config")
    assert shown["Platform"] == "linux/amd64" + OWNED and shown["Author"] == IMAGE
    assert json.loads(shown["Command"]) == config["config"]["Cmd"]
    assert shown["User"] == OWNED and shown["Working directory"] == IMAGE
    assert shown["Ports"] == "80/tcp " + OWNED
    assert "A=<b>&amp;</b>\nB=" + OWNED in page.text
    layer = page.tables["layers"][1]
    assert layer[2] == "1.23 kB" and layer[4] == config["history"][1]["created_by"], layer


def check_history(viewer):
    registry = viewer.registry
    first = registry.image("hostile/moved", "v", {"os": "linux", "architecture": "arm64"})
    second = registry.image("hostile/moved", "v", {"os": "linux", "architecture": "arm64"})
    page = viewer.browse("/?repository=hostile/moved&tag=v")
    rows = page.tables["history"][1:]
    assert [row[1:3] for row in rows] == [[short(second), short(first)], [short(first), "-"]], rows
    assert all("push from 127.0.0.1" in row[3] for row in rows), rows
    assert viewer.browse("/?repository=hostile/moved").tables["tags"][1][1] == short(second)
    registry.need(202, "DELETE", "/v2/hostile/moved/manifests/v")
    page = viewer.look("/?repository=hostile/moved&tag=v")
    assert "The tag was removed" in page.text
    assert page.tables["history"][1][1:3] == ["removed", short(second)], page.tables
    assert "No tag points" in viewer.look("/?repository=hostile/moved").text


def check_index(viewer, pushed):
    registry = viewer.registry
    listed = dict(pushed, platform={"os": "linux", "architecture": IMAGE, "variant": "v7"})
    index = registry.manifest("hostile/app", "all", {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]})
    page = viewer.browse("/?repository=hostile/app&tag=all")
    row = page.tables["manifests"][1]
    assert row[0] == "linux/" + IMAGE + "/v7" and row[1] == short(pushed), row
    assert row[2].startswith("image, "), row
    # What refers to it is listed with it.
    registry.image("hostile/app", "signature", {}, artifactType="application/x-signature", subject=index)
    page = viewer.look("/?repository=hostile/app&digest=" + index["digest"])
    assert page.tables["referrers"][1][0] == "application/x-signature"
    rows = viewer.look("/?repository=hostile/app").tables["tags"][1:]
    assert [row[0] for row in rows] == ["1", "all", "signature"], rows
    assert rows[1][2] == "index of 1"


def check_strange_questions(viewer):
    quoted = urllib.parse.quote(OWNED)
    for query in ("repository=" + quoted, "repository=none", "repository=hostile/app&tag=" + quoted,
                  "repository=hostile/app&tag=none", "repository=hostile/app&digest=" + quoted,
                  "repository=hostile/app&digest=sha256:" + "0" * 64, "repository=" + "a" * 5000,
                  "repository=..%2f..", "repository="):
        page = viewer.look("/?" + query, status=404)
        assert page.title == "Not found", (query, page.title)
    viewer.registry.need(400, "GET", "/?repository=%00")
    viewer.registry.need(405, "POST", "/")
    viewer.registry.need(405, "DELETE", "/style.css")
    # Unknown questions are no reason not to answer.
    viewer.look("/?x=" + quoted)


def check_many(viewer):
    """More than a page has."""
    registry = viewer.registry
    pushed = registry.image("hostile/many", "first", {"os": "linux"})
    document = registry.need(200, "GET", "/v2/hostile/many/manifests/first")[1]
    for i in range(0, 120, 40):
        tags = "&".join(f"tag=t{n:03}" for n in range(i, i + 40))
        registry.need(201, "PUT", f"/v2/hostile/many/manifests/{pushed['digest']}?{tags}", document,
                      {"Content-Type": MANIFEST})
    page = viewer.look("/?repository=hostile/many")
    assert len(page.tables["tags"]) == 101
    following = [link for link in page.links if "last=" in link]
    assert len(following) == 1
    assert [row[0] for row in viewer.look(following[0]).tables["tags"][1:]][-1] == "t119"


def main():
    registry = Registry(sys.argv[1])
    viewer = Viewer(registry, sys.argv[2] if len(sys.argv) > 2 else None)
    config, pushed = hostile_image(registry)
    check_image(viewer, config, pushed)
    check_history(viewer)
    check_index(viewer, pushed)
    check_strange_questions(viewer)
    check_many(viewer)
    names = viewer.browse("/").pairs("repositories")
    assert names["hostile/app"] == "3" and names["hostile/many"] == "121", names
    assert len(crawl(viewer)) > 20


if __name__ == "__main__":
    main()
