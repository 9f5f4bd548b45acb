#!/usr/bin/env python3
"""Measures cooper against docker build, BuildKit and buildah on the same work.

    tests/bench/run.py [--only NAME,...] [--runs N] [--scale F] [--tools NAME,...] [--json FILE]

As root. The works are made from a seed. The tools take turns within each run; the tables have
medians of the time that passed and of processor time (which says more on a machine that does
other things as well), and how many times cooper's the others are. What is pushed goes to
Debian's docker-registry on the loopback address, whose own work counts in the time that passed
and not in processor time. A tool that is not installed is left out.

Python 3.11, standard library only.
"""
import argparse
import json
import os
import platform
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "conformance"))
import corpus  # noqa: E402  base images that are the same everywhere
from tools import BuildKit, Buildah, Cooper, Docker, Failed, Registry  # noqa: E402

MIB = 1 << 20


# --- Files ---

class Maker:
    """Files from a seed. Bytes are slices of a pool, in which words and noise alternate so that
    gzip leaves about two thirds of it, as of a tree of programs and libraries."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        words = [self.rng.randbytes(self.rng.randrange(2, 9)).hex().encode() for _ in range(3000)]
        parts, size = [], 0
        while size < 48 * MIB:
            parts.append(self.rng.randbytes(self.rng.randrange(1000, 12000)))
            parts.append(b" ".join(self.rng.choices(words, k=self.rng.randrange(100, 900))))
            size += len(parts[-1]) + len(parts[-2])
        self.pool = b"".join(parts)

    def file(self, path, size):
        with open(path, "wb") as f:
            while size > 0:
                part = min(size, 4 * MIB)
                at = self.rng.randrange(len(self.pool) - part)
                f.write(memoryview(self.pool)[at:at + part])
                size -= part

    def small_files(self, top, directories, total, size):
        """`total` files of `size` bytes on average."""
        for d in range(directories):
            path = os.path.join(top, "%02d" % (d % 40), "dir%04d" % d)
            os.makedirs(path)
            for f in range(total // directories):
                self.file(os.path.join(path, "file%d.js" % f),
                          min(int(self.rng.expovariate(1 / size)), 20 * size))

    def tree(self, top, total, size):
        """`total` files, `size` bytes in all: half of it in ten of them."""
        sizes = [size // 20] * 10 + [size * 3 // 10 // 84] * 84
        rest = total - len(sizes)
        sizes += [max(1, (size - sum(sizes)) // rest)] * rest
        for i, s in enumerate(sizes):
            path = os.path.join(top, "lib%02d" % (i % 50))
            os.makedirs(path, exist_ok=True)
            self.file(os.path.join(path, "lib%d.so" % i), s)


def dockerfile(ctx, *lines):
    os.makedirs(ctx, exist_ok=True)
    with open(os.path.join(ctx, "Dockerfile"), "w") as f:
        f.write("\n".join(lines) + "\n")


# --- The works ---

class Bench:
    def __init__(self, options, top):
        self.options = options
        self.top = top
        self.registry = Registry(top)
        self.maker = Maker(options.seed)
        self.times = {}
        self.processors = {}
        self.number = 0
        self.tools = []

    def add(self, work, tool, figures):
        seconds, cpu = figures
        self.times.setdefault(work, {}).setdefault(tool.name, []).append(seconds)
        self.processors.setdefault(work, {}).setdefault(tool.name, []).append(cpu)
        print("  %-30s %-8s %8.3f s  %8.3f s of processors" % (work, tool.name, seconds, cpu),
              flush=True)

    def wants(self, *works):
        return not self.options.only or any(w in self.options.only for w in works)

    def fresh(self, tool):
        """No cache of the tool's, and nothing in the registry but the base."""
        self.registry.wipe()
        tool.reset()
        os.sync()

    def tag(self, name):
        self.number += 1
        return "%s/%s-%d:1" % (self.registry.host, name, self.number)

    def scaled(self, number):
        return max(1, int(number * self.options.scale))

    def context(self, name):
        path = os.path.join(self.top, "ctx", name)
        os.makedirs(path, exist_ok=True)
        return path

    # Each work: prepare once, then measure one tool once.

    def steps(self, tool):
        ctx = self.context("steps")
        dockerfile(ctx, "FROM " + tool.base, *("RUN echo %d >/file%d" % (i, i) for i in range(20)))
        self.fresh(tool)
        tag = self.tag("steps")
        self.add("20-steps-cold-pushed", tool, tool.build(ctx, tag, cold=True, push=True))
        # The second is the first that finds everything.
        tool.build(ctx, tag, push=True)
        self.add("20-steps-cached", tool, tool.build(ctx, tag))
        self.add("20-steps-cached-pushed", tool, tool.build(ctx, tag, push=True))

    def small(self, tool):
        ctx = self.context("small")
        if not os.path.exists(ctx + "/files"):
            self.maker.small_files(ctx + "/files", self.scaled(2000), self.scaled(2000) * 25, 2480)
        dockerfile(ctx, "FROM " + tool.base, "COPY files /files")
        self.fresh(tool)
        tag = self.tag("small")
        self.add("small-files-cold-pushed", tool, tool.build(ctx, tag, cold=True, push=True))
        self.add("small-files-unchanged", tool, tool.build(ctx, tag))
        with open(ctx + "/files/00/dir0000/file0.js", "a") as f:
            f.write("changed %d\n" % self.number)
        self.add("small-files-one-changed-pushed", tool, tool.build(ctx, tag, push=True))

    def tree(self, tool):
        ctx = self.context("tree")
        if not os.path.exists(ctx + "/tree"):
            self.maker.tree(ctx + "/tree", 2194, self.scaled(2800000000))
        dockerfile(ctx, "FROM " + tool.base, "COPY tree /tree")
        tag = self.tag("tree")
        if self.wants("tree-stored"):
            self.fresh(tool)
            self.add("tree-stored", tool, tool.build(ctx, tag, cold=True))
        if self.wants("tree-pushed", "tree-pulled"):
            self.fresh(tool)
            self.add("tree-pushed", tool, tool.build(ctx, tag, cold=True, push=True))
        if self.wants("tree-pulled"):
            tool.reset()
            os.sync()
            dockerfile(self.context("pulled"), "FROM " + tag, "RUN ls /tree")
            self.add("tree-pulled", tool, tool.build(self.context("pulled"), "pulled:1"))

    def stages(self, tool):
        ctx = self.context("stages")
        dockerfile(ctx, "FROM %s AS a" % tool.base, "RUN sleep 0.4; echo a >/a",
                   "FROM %s AS b" % tool.base, "RUN sleep 0.4; echo b >/b",
                   "FROM " + tool.base, "COPY --from=a /a /", "COPY --from=b /b /")
        tool.build(ctx, "stages:1", cold=True)
        self.add("two-stages", tool, tool.build(ctx, "stages:1", cold=True))

    WORKS = (
        (steps, "20-steps-cold-pushed", "20-steps-cached", "20-steps-cached-pushed"),
        (stages, "two-stages"),
        (small, "small-files-cold-pushed", "small-files-unchanged",
         "small-files-one-changed-pushed"),
        (tree, "tree-stored", "tree-pushed", "tree-pulled"),
    )

    def start(self):
        corpus.write_layout(
            os.path.join(self.top, "base"), [(corpus.busybox_layer(corpus.find_busybox(
                shutil.which("busybox"))), True)],
            {"Env": [corpus.PATH_ENV], "Cmd": ["sh"]}, [{"created_by": "busybox"}])
        self.registry.start()
        every = [Cooper(self.top, self.registry, self.options.cooper, self.options.network),
                 Docker(self.top, self.registry), BuildKit(self.top, self.registry),
                 Buildah(self.top, self.registry)]
        for tool in every:
            if tool.name in self.options.tools and tool.is_installed():
                self.tools.append(tool)
                tool.start()
                tool.reset()

    def measure(self):
        for work, *names in self.WORKS:
            if not self.wants(*names):
                continue
            for number in range(self.options.runs):
                print("%s, run %d of %d" % (names[0], number + 1, self.options.runs), flush=True)
                for tool in self.tools:
                    work(self, tool)

    def stop(self):
        for tool in self.tools:
            tool.stop()
        self.registry.stop()

    # --- Results ---

    def result(self):
        return {
            "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "machine": {"processors": os.cpu_count(), "model": processor(),
                        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
                        "kernel": platform.release(), "load": os.getloadavg()},
            "scale": self.options.scale, "runs": self.options.runs, "seed": self.options.seed,
            "tools": {t.name: {"version": t.version(), "peak": t.peak_bytes(), "size": t.size()}
                      for t in self.tools},
            "seconds": self.times,
            "processor_seconds": self.processors,
        }


def processor():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def print_table(result):
    """Markdown: medians, and how many times cooper's the others are."""
    names = list(result["tools"])

    def row(title, values, form):
        cells = []
        for name in names:
            if values.get(name) is None:
                cells.append("-")
                continue
            text = form % values[name]
            if name != "cooper" and values.get("cooper"):
                text += " (%.1fx)" % (values[name] / values["cooper"])
            cells.append(text)
        print("| %s | %s |" % (title, " | ".join(cells)))

    for key, title in (("seconds", "work"), ("processor_seconds", "processor time of")):
        print("\n| %s | %s |\n| --- |%s" % (title, " | ".join(names), " --- |" * len(names)))
        for work, times in result[key].items():
            row(work, {n: statistics.median(t) for n, t in times.items()}, "%.3f s")
    print("\n| | %s |\n| --- |%s" % (" | ".join(names), " --- |" * len(names)))
    row("peak memory", {n: t["peak"] / MIB for n, t in result["tools"].items()}, "%.0f MiB")
    row("program size", {n: t["size"] / 1e6 for n, t in result["tools"].items()}, "%.1f MB")


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--only", default="", help="names of works, separated by commas")
    p.add_argument("--runs", type=int, default=3, help="of which the median is taken")
    p.add_argument("--scale", type=float, default=1.0, help="of the sizes of trees")
    p.add_argument("--tools", default="cooper,docker,buildkit,buildah")
    p.add_argument("--network", default="default", choices=("default", "host"),
                   help="of cooper's steps; those of the others have the machine's own")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--json", help="write all figures to this file")
    p.add_argument("--cooper", default=os.path.join(ROOT, "build/release/bin/cooper"))
    p.add_argument("--dir", help="a directory on the disk to measure (default: a temporary one)")
    o = p.parse_args()
    o.only = [w for w in o.only.split(",") if w]
    o.tools = o.tools.split(",")
    o.cooper = os.path.abspath(o.cooper)
    known = [n for _, *names in Bench.WORKS for n in names]
    if unknown := [w for w in o.only if w not in known]:
        p.error("no such work: %s; there are %s" % (", ".join(unknown), ", ".join(known)))
    if not os.access(o.cooper, os.X_OK):
        p.error("there is no program %s: build it, or name one with --cooper" % o.cooper)
    if os.geteuid() != 0:
        p.error("docker and the measuring of it need root")
    return o


def main():
    o = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    top = tempfile.mkdtemp(prefix="cooper-bench-", dir=o.dir)
    bench = Bench(o, top)
    try:
        bench.start()
        bench.measure()
        result = bench.result()
    except Failed as e:
        sys.exit(str(e))
    finally:
        bench.stop()
        shutil.rmtree(top, ignore_errors=True)
    print_table(result)
    if o.json:
        with open(o.json, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
