#!/usr/bin/env python3
"""Measures what it costs that calls about owners are intercepted where a user has one id only.

    tests/bench/owners.py [--runs N]

As root, which makes a user for it. The same steps run with subordinate ids, where the kernel
answers all calls, with one id, where cooper answers some, and without namespaces, by proot. The
ways take turns; medians of the time that a step took beyond one that does nothing.

Python 3.11, standard library only; cooper is the one in $COOPER, or in PATH.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ACCOUNT = os.path.join(HERE, "..", "account.sh")
WAYS = ("subids", "single", "none")

STEPS = {
    "nothing": "true",
    "compute: gzip of 20 MB": "head -c 20000000 /dev/zero | gzip >/dev/null",
    "read: grep -r in 1,000 files": "grep -r nothing /files | wc -l",
    "create: cp -r of 1,000 files": "cp -r /files /copy",
    "stat: find of 1,000 files, by time": "find /files -newer /etc/passwd | wc -l",
    "chown -R of 1,000 files": "chown -R 1000:1000 /files",
    "stat of them, once recorded": "chown -R 1000:1000 /files && find /files -newer /etc/passwd | wc -l",
    "50 programs": "i=0; while [ $i -lt 50 ]; do busybox true; i=$((i+1)); done",
}


def build_tree(root):
    os.makedirs(f"{root}/bin")
    os.makedirs(f"{root}/etc")
    os.makedirs(f"{root}/tmp")
    shutil.copy(shutil.which("busybox"), f"{root}/bin/busybox")
    for name in subprocess.run([f"{root}/bin/busybox", "--list"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.split():
        if name != "busybox":
            os.symlink("busybox", f"{root}/bin/{name}")
    with open(f"{root}/etc/passwd", "w", encoding="ascii") as f:
        f.write("root:x:0:0:root:/root:/bin/sh\n")
    for d in range(10):
        os.makedirs(f"{root}/files/{d}")
        for n in range(100):
            with open(f"{root}/files/{d}/{n}", "w", encoding="ascii") as f:
                f.write(f"file {n} of {d}\n" * 20)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    cooper = os.path.realpath(os.environ.get("COOPER") or shutil.which("cooper"))
    work = tempfile.mkdtemp(prefix="cooper-owners.")
    user = f"cooper-bench-{os.getpid()}"
    os.chmod(work, 0o755)
    subprocess.run([ACCOUNT, "subids", user, work], check=True)
    try:
        measure(cooper, work, user, runs)
    finally:
        subprocess.run([ACCOUNT, "remove", user], check=True)
        shutil.rmtree(work)


def measure(cooper, work, user, runs):
    build_tree(f"{work}/root")
    subprocess.run(["tar", "-C", f"{work}/root", "--owner=0", "--group=0", "-cf", f"{work}/root.tar", "."],
                   check=True)
    shutil.copytree(os.path.dirname(cooper), f"{work}/bin",
                    ignore=lambda d, names: [n for n in names if n != "cooper" and not n.endswith(".so")])
    subprocess.run(["chown", "-R", f"{user}:", work], check=True)

    def run(way, *words):
        command = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "env", "-i",
                   f"PATH={os.environ['PATH']}", f"HOME={work}", f"{work}/bin/cooper", "--root",
                   f"{work}/{way}", "--isolation", way, *words]
        begin = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: {done.stdout.decode()}")
        return time.monotonic() - begin

    times = {(step, way): [] for step in STEPS for way in WAYS}
    for way in WAYS:
        run(way, "import", "-c", 'CMD ["sh"]', "-c", "ENV PATH=/bin", f"{work}/root.tar", "tree")
        run(way, "run", "tree", "true")
    for _ in range(runs):
        for step, script in STEPS.items():
            for way in WAYS:
                times[step, way].append(run(way, "run", "tree", "sh", "-c", script))

    print("| step | " + " | ".join(WAYS) + " |\n| --- |" + " --- |" * len(WAYS))
    for step in STEPS:
        medians = [statistics.median(times[step, way]) for way in WAYS]
        if step != "nothing":
            medians = [m - statistics.median(times["nothing", w]) for m, w in zip(medians, WAYS)]
        cells = [f"{m:.3f} s" for m in medians]
        if step != "nothing":
            # What takes less than the noise has no ratio.
            cells = cells[:1] + [f"{c} ({m / medians[0]:.1f}x)" if medians[0] > 0.02 else c
                                 for c, m in zip(cells[1:], medians[1:])]
        print(f"| {step} | " + " | ".join(cells) + " |")


main()
