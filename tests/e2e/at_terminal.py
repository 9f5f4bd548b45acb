#!/usr/bin/env python3
"""at_terminal.py [PROMPT ANSWER]... -- COMMAND...: runs a command at a terminal of its own.

Waits until each PROMPT is shown and types ANSWER and a line end ("^C": that key). What the
terminal showed goes to standard output; the status is the command's, or 128 + signal."""
import os
import pty
import select
import sys

split = sys.argv.index("--")
talk, command = sys.argv[1:split], sys.argv[split + 1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
shown = b""
at = 0
while True:
    try:
        ready, _, _ = select.select([terminal], [], [], 120)
        data = os.read(terminal, 4096) if ready else b""
    except OSError:
        data = b""
    if not data:
        break
    shown += data
    if talk and talk[0].encode() in shown[at:]:
        at = len(shown)
        os.write(terminal, b"\x03" if talk[1] == "^C" else talk[1].encode() + b"\n")
        talk = talk[2:]
os.close(terminal)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.stdout.buffer.write(shown)
sys.exit(status if status >= 0 else 128 - status)
