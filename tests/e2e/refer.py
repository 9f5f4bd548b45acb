#!/usr/bin/env python3
"""Attaches a file to an image as other tools do: refer.py HOST:PORT REPOSITORY TAG TYPE FILE

Prints the digest of the artifact's manifest. Where the registry lists no referrers, the index of
the fallback ("sha256-HEX") is written.

Python 3.11, standard library only.
"""
import hashlib
import http.client
import json
import sys

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Repository:
    def __init__(self, host, name):
        self.connection = http.client.HTTPConnection(host, timeout=120)
        self.name = name

    def ask(self, method, path, body=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        self.connection.request(method, path, body=body, headers=headers)
        answer = self.connection.getresponse()
        return answer, answer.read()

    def blob(self, media_type, data):
        answer, _ = self.ask("POST", f"/v2/{self.name}/blobs/uploads/")
        where = answer.headers["Location"]
        if "://" in where:
            where = "/" + where.split("://", 1)[1].split("/", 1)[1]
        where += ("&" if "?" in where else "?") + "digest=" + digest(data)
        answer, text = self.ask("PUT", where, data, Content_Type="application/octet-stream")
        assert answer.status == 201, text
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def manifest(self, reference, media_type, data):
        answer, text = self.ask("PUT", f"/v2/{self.name}/manifests/{reference}", data,
                                Content_Type=media_type)
        assert answer.status == 201, text
        return answer


def main():
    host, name, tag, kind, file = sys.argv[1:]
    repository = Repository(host, name)
    answer, image = repository.ask("GET", f"/v2/{name}/manifests/{tag}", Accept=MANIFEST)
    assert answer.status == 200, image
    with open(file, "rb") as f:
        layer = repository.blob("text/plain", f.read())
    subject = {"mediaType": MANIFEST, "digest": digest(image), "size": len(image)}
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
        "config": repository.blob("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [layer], "subject": subject}).encode()
    answer = repository.manifest(digest(manifest), MANIFEST, manifest)
    if not answer.headers["OCI-Subject"]:
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{
            "mediaType": MANIFEST, "digest": digest(manifest), "size": len(manifest),
            "artifactType": kind}]}).encode()
        repository.manifest(digest(image).replace(":", "-"), INDEX, index)
    print(digest(manifest))


if __name__ == "__main__":
    main()
