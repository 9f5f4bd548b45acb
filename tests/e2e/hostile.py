"""Tar archives that nobody makes by accident.

    hostile.py all DIR BASE
        of each case the archive NAME.tar, NAME.whole.tar with the entries of the archive BASE
        before it, and the OCI layout NAME.layout with BASE as the layer below
    hostile.py layout DIR BASE TAR DIFFID
        an OCI layout of two layers, the upper one in gzip
    hostile.py bomb OUT
        ten gigabytes of zeros in ten megabytes; prints the diffID
    hostile.py many OUT
        a million entries: 1,000 directories of 998 files each, and one name a thousand times
    hostile.py members DIR BASE
        compressed layers that are cut off or damaged: of each case the archive NAME.tar.gz (or
        .zst) and the OCI layout NAME.layout with BASE as the layer below
"""
import gzip
import hashlib
import json
import os
import subprocess
import sys
import zlib

END = b"\0" * 1024


def octal(value, width):
    return b"%0*o\0" % (width - 1, value)


def header(name, kind=b"0", size=0, link=b"", mode=0o644, device=(0, 0), size_field=None,
           wrong_sum=False):
    block = name[:100].ljust(100, b"\0") + octal(mode, 8) + octal(0, 8) * 2
    block += size_field or octal(size, 12)
    block += octal(1500000000, 12) + b" " * 8 + kind + link[:100].ljust(100, b"\0")
    block += b"ustar\x0000" + b"\0" * 64 + octal(device[0], 8) + octal(device[1], 8)
    block = block.ljust(512, b"\0")
    total = sum(block) + wrong_sum
    return block[:148] + b"%06o\0 " % total + block[156:]


def padded(data):
    return data + b"\0" * (-len(data) % 512)


def file(name, data=b"x", **more):
    return header(name, size=len(data), **more) + padded(data)


def directory(name, mode=0o755):
    return header(name, b"5", mode=mode)


def symlink(name, target):
    return header(name, b"2", link=target)


def hardlink(name, target):
    return header(name, b"1", link=target)


def pax(**records):
    body = b""
    for key, value in records.items():
        rest = b" " + key.replace("__", ".").encode() + b"=" + value + b"\n"
        size = len(rest)
        while len(b"%d" % size) + len(rest) != size:
            size = len(b"%d" % size) + len(rest)
        body += b"%d" % size + rest
    return header(b"pax", b"x", len(body)) + padded(body)


def long(text, kind=b"L"):
    return header(b"././@LongLink", kind, len(text) + 1) + padded(text + b"\0")


def base256(value):
    return bytes([0xff if value < 0 else 0x80]) + (value & (1 << 88) - 1).to_bytes(11, "big")


CASES = {
    # leaving the root
    "dotdot": file(b"a/../../escaped"),
    "absolute": file(b"/escaped"),
    "symlink-chain": symlink(b"a", b"b") + symlink(b"b", b"../..") + file(b"a/escaped"),
    "symlink-loop": symlink(b"a", b"b") + symlink(b"b", b"a") + file(b"a/x"),
    "sparse-name": pax(GNU__sparse__major=b"1", GNU__sparse__minor=b"0",
                       GNU__sparse__name=b"../escaped", GNU__sparse__realsize=b"1") +
                   file(b"y", padded(b"1\n0\n1\n") + b"z"),
    # hard links
    "link-out": hardlink(b"p", b"/etc/passwd"),
    "link-up": hardlink(b"p", b"../etc/passwd"),
    "link-nothing": hardlink(b"p", b"no/such"),
    "link-directory": directory(b"d") + hardlink(b"p", b"d"),
    "link-root": hardlink(b"p", b"."),
    "link-loop": hardlink(b"a", b"b") + hardlink(b"b", b"a"),
    "link-removed": file(b".wh.bin", b"") + hardlink(b"p", b"bin"),
    "escape-sequence-link": hardlink(b"\x1b[31mred\xc2\x9b", b"\x1b]0;no\x07"),
    "link-replaced": file(b"a") + hardlink(b"b", b"a") + file(b"a", b"2"),
    # what is overlayfs' own
    "zero-device": header(b"c", b"3"),
    "overlay-trusted": pax(SCHILY__xattr__trusted__overlay__opaque=b"y") + directory(b"d"),
    "overlay-redirect": pax(SCHILY__xattr__trusted__overlay__redirect=b"/etc") +
                        directory(b"d"),
    "overlay-user": pax(SCHILY__xattr__user__overlay__whiteout=b"y") + file(b"d"),
    # whiteouts
    "whiteout-root": file(b".wh.", b""),
    "whiteout-dot": file(b".wh..", b""),
    "whiteout-up": directory(b"a") + file(b"a/.wh...", b""),
    "whiteout-opaque-file": file(b"d") + file(b"d/.wh..wh..opq", b""),
    # trees that cannot be
    "root-file": file(b"."),
    "root-symlink": symlink(b".", b"/etc"),
    "under-file": file(b"a") + file(b"a/b"),
    "under-fifo": header(b"a", b"6") + file(b"a/b"),
    "directory-then-file": directory(b"a") + file(b"a/b") + file(b"a"),
    "symlink-for-full-directory": directory(b"a") + file(b"a/b") + symlink(b"a", b"/etc") +
                                  file(b"a/escaped"),
    "link-for-full-directory": file(b"f") + directory(b"a") + file(b"a/b") + hardlink(b"a", b"f"),
    "fifo-for-full-directory": directory(b"a") + file(b"a/b") + header(b"a", b"6"),
    "under-link": file(b"f") + hardlink(b"a", b"f") + file(b"a/b"),
    "under-device": header(b"a", b"4", device=(8, 0)) + file(b"a/b"),
    # numbers
    "pax-size-negative": pax(size=b"-1") + file(b"a"),
    "pax-size-text": pax(size=b"1e3") + file(b"a"),
    "pax-size-lie": pax(size=b"5000") + file(b"a"),
    "size-negative": header(b"a", size_field=base256(-1)),
    "size-minus": header(b"a", size_field=b"-0000000001\0"),
    "size-huge": header(b"a", size_field=base256(1 << 62)),
    "size-beyond": header(b"a", size_field=base256((1 << 64) + 5)),
    "size-lie": header(b"a", size_field=b"77777777777\0"),
    "pax-size": pax(size=b"18446744073709551615") + file(b"a"),
    "pax-time": pax(mtime=b"99999999999999999999") + file(b"a"),
    "pax-owner": pax(uid=b"4294967295") + file(b"a"),
    "device-number": header(b"a", b"4", device=(0o7777777, 0o7777777)),
    # headers
    "wrong-sum": file(b"a", wrong_sum=True),
    "unknown-type": header(b"a", b"Z"),
    "no-name": file(b""),
    "no-target": symlink(b"a", b""),
    "pax-length": header(b"pax", b"x", 10) + padded(b"99999 a=b\n") + file(b"a"),
    "pax-nul": pax(path=b"a\0b") + file(b"a"),
    "pax-endless": header(b"pax", b"x", 2 << 20) + b"\0" * (2 << 20) + file(b"a"),
    "pax-last": pax(path=b"x"),
    "name-65000": long(b"n" * 65000) + file(b"a"),
    "name-300": long(b"n" * 300) + file(b"a"),
    "pax-name-65000": pax(path=b"n" * 65000) + file(b"a"),
    "pax-path-65000": pax(path=b"d/" * 32500 + b"f") + file(b"a"),
    "target-65000": long(b"n" * 65000, b"K") + symlink(b"a", b"x"),
    "sparse-terabyte": pax(GNU__sparse__major=b"1", GNU__sparse__minor=b"0",
                           GNU__sparse__realsize=b"1099511627776") +
                       file(b"x", padded(b"0\n")),
    "sparse-overlap": pax(GNU__sparse__size=b"100", GNU__sparse__map=b"0,10,5,10") +
                      file(b"a", b"x" * 20),
    "sparse-outside": pax(GNU__sparse__size=b"100", GNU__sparse__map=b"95,10") +
                      file(b"a", b"x" * 10),
    # cut off
    "cut-content": file(b"a", b"y" * 5000)[:3000],
    "cut-header": file(b"a")[:100],
    "cut-pax": pax(path=b"x" * 600)[:700],
    "cut-second-header": (file(b"a") + file(b"b"))[:1200],
    "wrong-sum-second": file(b"a") + file(b"b", wrong_sum=True),
    # strange, but whole
    "good-file-then-directory": file(b"a") + directory(b"a") + file(b"a/b"),
    "good-symlink-then-directory": symlink(b"a", b"/etc") + directory(b"a") + file(b"a/x"),
    "good-directory-then-symlink": directory(b"a") + symlink(b"a", b"/tmp"),
    "good-link-to-itself": file(b"a") + hardlink(b"a", b"a"),
    "good-removed-then-made": file(b".wh.a", b"") + file(b"a"),
    "good-made-then-removed": file(b"a") + file(b".wh.a", b""),
    "good-removed-twice": file(b".wh.a", b"") + file(b".wh.a", b""),
    "good-directory-twice": directory(b"a", 0o700) + file(b"a/b") + directory(b"a", 0o755),
    "good-removed-and-new": file(b".wh.tmp", b"") + file(b"tmp/new/file"),
    "good-whiteout-deep": file(b"no/such/dir/.wh.x", b""),
    "good-whiteout-content": file(b".wh.root", b"x" * 5000),
    "good-twice": file(b"a") + file(b"a", b"2"),
    "good-absolute-symlink": symlink(b"a", b"/tmp") + file(b"a/x"),
    "good-etc-elsewhere": symlink(b"etc", b"/nowhere/at/all"),
    "good-slashes": file(b"a//b///c") + file(b"./././d"),
    "good-device": header(b"sda", b"4", device=(8, 0)),
    "good-escape-sequence": file(b"\x1b[31m\x07red"),
    "good-deep": long(b"d/" * 1900 + b"f") + file(b"a"),
    "good-global-path": header(b"g", b"g", 13) + padded(b"13 path=evil\n") + file(b"a"),
}


def blob(out, data, media):
    name = hashlib.sha256(data).hexdigest()
    os.makedirs(os.path.join(out, "blobs", "sha256"), exist_ok=True)
    with open(os.path.join(out, "blobs", "sha256", name), "wb") as f:
        f.write(data)
    return {"mediaType": "application/vnd.oci.image." + media, "digest": "sha256:" + name,
            "size": len(data)}


def as_json(value):
    return json.dumps(value).encode()


def layout(out, base, tar, diff_id=None, compression="+gzip"):
    layers = []
    for name in (base, tar):
        with open(name, "rb") as f:
            layers.append(blob(out, f.read(), "layer.v1.tar"))
    diff_ids = [layer["digest"] for layer in layers]
    if diff_id:
        diff_ids[1] = diff_id
        layers[1]["mediaType"] += compression
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = blob(out, as_json({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(out, as_json(config), "config.v1+json"), "layers": layers}),
        "manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    with open(os.path.join(out, "oci-layout"), "wb") as f:
        f.write(as_json({"imageLayoutVersion": "1.0.0"}))
    with open(os.path.join(out, "index.json"), "wb") as f:
        f.write(as_json({"schemaVersion": 2, "manifests": [manifest]}))


def bomb(out, size=10 << 30, piece=b"\0" * (1 << 20)):
    """A deflated megabyte of zeros, repeated: flushed, each piece stands for itself."""
    head = header(b"zeros", size_field=base256(size))
    digest = hashlib.sha256(head)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    crc = zlib.crc32(head)
    for _ in range(size // len(piece)):
        digest.update(piece)
        crc = zlib.crc32(piece, crc)
    digest.update(END)
    crc = zlib.crc32(END, crc)
    with open(out, "wb") as f:
        f.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + first + again * (size // len(piece)))
        f.write(packer.compress(END) + packer.flush())
        f.write(crc.to_bytes(4, "little"))
        f.write((len(head) + size + len(END) & 0xffffffff).to_bytes(4, "little"))
    print("sha256:" + digest.hexdigest())


def many(out, directories=1000, files=998):
    """Empty files: a header each."""
    with open(out, "wb") as f:
        for d in range(directories):
            name = b"many/%d/" % d
            f.write(directory(name))
            f.write(b"".join(header(name + b"%d" % i) for i in range(files)))
            f.write(header(b"many/one"))
        f.write(END)


def cut_members():
    """What a decompressor has to notice: the bytes, and how they are compressed."""
    tar = file(b"a", os.urandom(100000)) + END
    whole = gzip.compress(tar, mtime=0)
    two = gzip.compress(tar[:50000], mtime=0), gzip.compress(tar[50000:], mtime=0)
    zstd = subprocess.run(["zstd", "-q", "--check"], input=tar, stdout=subprocess.PIPE,
                          check=True).stdout
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x55
    return tar, {
        "cut.gz": whole[:len(whole) // 2],
        "cut-trailer.gz": whole[:-3],
        "cut-second.gz": two[0] + two[1][:len(two[1]) // 2],
        "cut-second-header.gz": two[0] + two[1][:5],
        "missing-second.gz": two[0],
        "wrong-crc.gz": whole[:-8] + b"\0\0\0\0" + whole[-4:],
        "wrong-size.gz": whole[:-4] + b"\1\0\0\0",
        "flipped.gz": bytes(flipped),
        "behind.gz": whole + b"something else",
        "header-alone.gz": whole[:10],
        "cut.zst": zstd[:len(zstd) // 2],
        "wrong-check.zst": zstd[:-4] + b"\0\0\0\0",
        "behind.zst": zstd + b"something else",
        "good-two.gz": two[0] + two[1],
    }


def members(out, base):
    tar, cases = cut_members()
    diff_id = "sha256:" + hashlib.sha256(tar).hexdigest()
    for name, data in cases.items():
        case, kind = name.split(".")
        path = os.path.join(out, case + "-" + kind + ".tar." + kind)
        with open(path, "wb") as f:
            f.write(data)
        layout(os.path.join(out, case + "-" + kind + ".layout"), base, path, diff_id,
               {"gz": "+gzip", "zst": "+zstd"}[kind])


def everything(out, base):
    with open(base, "rb") as f:
        entries = f.read().rstrip(b"\0")
    for name, case in CASES.items():
        path = os.path.join(out, name)
        data = case + (b"" if name.startswith("cut-") else END)
        with open(path + ".tar", "wb") as f:
            f.write(data)
        with open(path + ".whole.tar", "wb") as f:
            f.write(padded(entries) + data)
        layout(path + ".layout", base, path + ".tar")


def main():
    command, *arguments = sys.argv[1:]
    {"all": everything, "layout": layout, "bomb": bomb, "many": many,
     "members": members}[command](*arguments)


if __name__ == "__main__":
    main()
