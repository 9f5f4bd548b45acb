#!/usr/bin/env python3
"""foreign.py FILE: a static program for arm64 that writes "built on aarch64" to /out.

There is no compiler for it here, so the dozen instructions are spelled out. It is what a
foreign RUN needs: something that this machine's processor cannot execute.
"""

import struct
import sys

BASE = 0x400000
HEADERS = 64 + 56


def movz(register: int, value: int) -> int:
    return 0xD2800000 | value << 5 | register


def adr(register: int, offset: int) -> int:
    return 0x10000000 | (offset & 3) << 29 | (offset >> 2 & 0x7FFFF) << 5 | register


SVC = 0xD4000001
TEXT = b"built on aarch64\n"
PATH = b"/out\0"


def program() -> bytes:
    count = 14
    end = 4 * count  # where the data begins
    code = [
        0x92800C60,  # movn x0, #99: AT_FDCWD, -100
        adr(1, end - 4),
        movz(2, 0o101),  # O_WRONLY | O_CREAT
        movz(3, 0o644),
        movz(8, 56),  # openat
        SVC,
        adr(1, end + len(PATH) - 4 * 6),
        movz(2, len(TEXT)),
        movz(8, 64),  # write, to what openat gave
        SVC,
        movz(0, 0),
        movz(8, 93),  # exit
        SVC,
        SVC,
    ]
    assert len(code) == count
    return struct.pack(f"<{count}I", *code) + PATH + TEXT


def main() -> None:
    body = program()
    size = HEADERS + len(body)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01", 2, 183, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000)
    with open(sys.argv[1], "wb") as out:
        out.write(header + segment + body)


main()
