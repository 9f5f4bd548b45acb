#!/usr/bin/env python3
"""Runs a program on a terminal and types an answer: answer.py ANSWER PROGRAM [ARGUMENT...]

What it prints goes to standard output; the status is the program's. The answer is typed when the
question's "]" has come.

Python 3.11, standard library only.
"""
import os
import pty
import sys


def main():
    answer, command = sys.argv[1], sys.argv[2:]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    said = b""
    typed = False
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the program has ended
            break
        if not part:
            break
        said += part
        if not typed and b"[y/N]" in said:
            os.write(terminal, answer.encode() + b"\n")
            typed = True
    sys.stdout.buffer.write(said.replace(b"\r\n", b"\n"))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
