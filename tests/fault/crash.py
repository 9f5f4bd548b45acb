"""Kills cooper at random moments and looks at what it leaves.

    crash.py build N           SIGKILL at N moments of a multi-stage build
    crash.py push N, pull N    the same of transfers; $REGISTRY is host:port
    crash.py power N           power failures at N moments of a build: whatever cooper had not
                               synced is gone

$COOPER is the program, $COOPER_ROOT its store, which has the image `busybox`; the current
directory is scratch. FAULT_SEED repeats a run. After every crash: what is visible is whole
(store.py); nothing of cooper is left running or mounted; the next command succeeds; skopeo
reads the image out of the store's directory.
"""
import contextlib
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid

from store import Damage, Store, need

COOPER = os.environ["COOPER"]
PR_SET_CHILD_SUBREAPER = 36
EPOCH = "1700000000"

DOCKERFILE = """\
FROM busybox AS base
RUN mkdir -p /srv/a /srv/b && echo base >/srv/base
FROM base AS one
COPY src /src
RUN cat /src/* >/srv/a/all && sha256sum /src/* >/srv/a/sums && seq 1 30000 >/srv/a/gone
FROM base AS two
COPY round /round
RUN --mount=type=cache,target=/cache echo x >>/cache/x && seq 30000 -1 1 >/srv/b/seq && \\
    cp /round /srv/b/round
FROM busybox
COPY --from=one /src /src
COPY --from=one /srv/a /srv/a
COPY --from=two /srv/b /srv/b
RUN sha256sum -c /srv/a/sums && rm /srv/a/gone && seq 30000 -1 1 | cmp - /srv/b/seq
"""


def run(*command, env=None):
    """The output of a command that must succeed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, **(env or {})))
    need(done.returncode == 0, "%s: exit code %d: %s" %
         (" ".join(command), done.returncode, done.stderr.decode(errors="replace")))
    return done.stdout.decode()


# --- Processes and mounts ---

def become_subreaper():
    """What cooper's death orphans becomes our child, so that we see it."""
    libc = ctypes.CDLL(None, use_errno=True)
    need(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, "PR_SET_CHILD_SUBREAPER")


def parents():
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                with open("/proc/%s/stat" % name) as f:
                    found[int(name)] = int(f.read().rpartition(")")[2].split()[1])
    return found


def descendants():
    of = parents()
    found, more = set(), {os.getpid()}
    while more:
        found |= more
        more = {p for p, parent in of.items() if parent in more} - found
    return found - {os.getpid()}


def command_line(pid):
    with contextlib.suppress(OSError):
        with open("/proc/%d/cmdline" % pid) as f:
            return f.read().replace("\0", " ").strip() or "pid %d" % pid
    return "pid %d" % pid


def need_no_process(seconds=5):
    """Those that were killed may need a moment to die; then nothing is left."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = descendants()
        if not left:
            return
        need(time.monotonic() < deadline, "left running:", [command_line(p) for p in left])
        time.sleep(0.005)


def mounts():
    with open("/proc/self/mountinfo") as f:
        return {line.split()[4] for line in f}


def kill_some(process, rng):
    """The program alone, as by its process id, or everything at once, as by the cgroup."""
    victims = [process.pid]
    if rng.random() < 0.5:
        victims += descendants()
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


# --- What is killed ---

class Work:
    """A command that can be repeated, and how it is known to have succeeded."""

    def __init__(self, rng):
        self.rng = rng
        self.round = 0

    def prepare(self):
        self.round += 1

    def finish(self):
        """The next command, which must succeed."""
        run(*self.command())

    def names(self):
        """Refs that are visible after finish()."""
        return []

    def check(self, root):
        """After finish(): others can read what was made."""
        for name in self.names():
            run("skopeo", "copy", "-q", "oci:%s:%s" % (root, name), "dir:out")
            shutil.rmtree("out")


class Build(Work):
    def __init__(self, rng):
        super().__init__(rng)
        os.makedirs("ctx/src")
        with open("ctx/Dockerfile", "w") as f:
            f.write(DOCKERFILE)
        for i in range(20):
            with open("ctx/src/%d" % i, "wb") as f:
                f.write(rng.randbytes(rng.randrange(60000)))
        self.flags = []

    def prepare(self):
        """Every round has another input; in some everything else is built again, too."""
        super().prepare()
        with open("ctx/round", "w") as f:
            f.write("%d %d\n" % (self.round, self.rng.getrandbits(64)))
        with open("ctx/src/0", "wb") as f:
            f.write(self.rng.randbytes(60000))
        self.flags = self.rng.choice(([], ["--no-cache"]))

    def command(self, flags=None):
        return ([COOPER, "build", "--progress=plain", "-t", "app:latest",
                 "-t", "app:%d" % self.round] + (self.flags if flags is None else flags) +
                ["ctx"])

    def finish(self):
        run(*self.command([]))

    def names(self):
        return ["docker.io/library/app:latest", "docker.io/library/app:%d" % self.round]

    def check(self, root):
        super().check(root)
        with open("ctx/round") as f:
            need(run(COOPER, "run", "app:latest", "cat", "/srv/b/round") == f.read(),
                 "the image is of another round")
        if self.round % 8 == 0:
            self.check_digest()

    def check_digest(self):
        """What a crashed build left to reuse is what a whole one makes."""
        epoch = {"SOURCE_DATE_EPOCH": EPOCH}
        again = [run(COOPER, "build", "-q", *flags, "ctx", env=epoch)
                 for flags in ([], ["--no-cache"])]
        need(again[0] == again[1], "reused after a crash:", *again)


class Push(Work):
    """Pushes an image whose last layer is new in every round."""

    def __init__(self, rng):
        super().__init__(rng)
        os.mkdir("ctx")
        with open("ctx/Dockerfile", "w") as f:
            f.write("FROM busybox\nCOPY data /\n")
        self.registry = os.environ["REGISTRY"]

    def name(self):
        return "%s/crash:%d" % (self.registry, self.round)

    def prepare(self):
        super().prepare()
        with open("ctx/data", "wb") as f:
            f.write(self.rng.randbytes(6 << 20))
        run(COOPER, "build", "-q", "-t", self.name(), "ctx")

    def command(self):
        return [COOPER, "push", self.name()]

    def names(self):
        return [self.name()]

    def check(self, root):
        super().check(root)
        run("skopeo", "copy", "-q", "--src-tls-verify=false", "docker://" + self.name(),
            "dir:out")
        shutil.rmtree("out")


class Pull(Push):
    """Pulls what a second store pushed."""

    def prepare(self):
        root = os.environ["COOPER_ROOT"]
        os.environ["COOPER_ROOT"] = os.environ["COOPER_OTHER_ROOT"]
        super().prepare()
        run(COOPER, "push", "-q", self.name())
        os.environ["COOPER_ROOT"] = root

    def command(self):
        return [COOPER, "pull", self.name()]


# --- Crashing ---

class Moments:
    """Random moments within the time that the work takes, as learnt from those that it
    finished before its moment came."""

    def __init__(self, rng):
        self.rng = rng
        self.length = 0.0
        self.misses = 0
        self.hits = []

    def start(self, work):
        return subprocess.Popen(work.command(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def learn(self, work):
        work.prepare()
        began = time.monotonic()
        process = self.start(work)
        message = process.communicate()[1].decode(errors="replace")
        need(process.returncode == 0, "without any crash:", message)
        self.length = time.monotonic() - began

    def crash(self, work):
        while True:
            work.prepare()
            delay = self.rng.random() * self.length
            process = self.start(work)
            with process.stderr:
                time.sleep(delay)
                alive = process.poll() is None
                kill_some(process, self.rng)
                message = process.stderr.read().decode(errors="replace") if not alive else ""
            if process.returncode == -signal.SIGKILL:
                self.hits.append(delay)
                return
            need(process.returncode == 0, "without being killed:", message)
            need_no_process()
            self.misses += 1
            self.length *= 0.9

    def summary(self):
        return "%d crashes, %.0f to %.0f ms after the start; %d times it was over before" % (
            len(self.hits), 1e3 * min(self.hits), 1e3 * max(self.hits), self.misses)


def crash_processes(work, count, rng):
    root = os.environ["COOPER_ROOT"]
    store = Store(root)
    moments = Moments(rng)
    before = mounts()
    moments.learn(work)
    for _ in range(count):
        moments.crash(work)
        need_no_process()
        need(mounts() == before, "left mounted:", mounts() - before)
        store.check()
        work.finish()
        refs = store.check_at_rest()
        need(set(work.names()) <= refs.keys(), work.names(), "are not all among", list(refs))
        work.check(root)
    store.forget()
    store.check_at_rest()
    return moments


# --- Power failures ---

class Disk:
    """A store on an ext4 file system of its own, on a disk whose contents are a file.

    A power failure is a copy of that file: what cooper did not sync is in the kernel's cache
    of the mounted file system, not in the file. Mount options keep ext4 from writing more
    than it was asked to: no commits by time, none because a file was replaced. The kernel is
    told to be another boot each time. The caller is in a mount namespace of its own.
    """
    OPTIONS = "loop,commit=3600,noauto_da_alloc,max_batch_time=0"
    BOOT_ID = "/proc/sys/kernel/random/boot_id"

    def __init__(self, root):
        self.root = root
        self.disks = os.path.abspath("disks")
        os.mkdir(self.disks)
        run("mount", "-t", "tmpfs", "-o", "size=700m", "disks", self.disks)
        self.file = self.path("0")
        with open(self.file, "wb") as f:
            f.truncate(300 << 20)
        run("mkfs.ext4", "-q", "-J", "size=8", "-E", "nodiscard", self.file)
        os.makedirs(root, exist_ok=True)
        self.boots = 0
        self.mount()

    def path(self, name):
        return os.path.join(self.disks, name)

    def mount(self):
        self.boots += 1
        with open("boot", "w") as f:
            f.write("%s\n" % uuid.UUID(int=self.boots))
        run("mount", "-o", self.OPTIONS, self.file, self.root)
        run("mount", "--bind", "boot", self.BOOT_ID)

    def fail(self):
        copy = self.path(str(self.boots))
        run("cp", "--sparse=always", self.file, copy)
        run("umount", self.BOOT_ID)
        run("umount", self.root)
        os.unlink(self.file)
        self.file = copy
        self.mount()


def crash_power(work, count, rng):
    root = os.environ["COOPER_ROOT"]
    disk = Disk(root)
    moments = Moments(rng)
    base = os.environ["COOPER_BASE"]
    run(COOPER, "import", base, "busybox")
    moments.learn(work)
    for i in range(count):
        if i % 4 == 3:
            # A success that was told is still one after the power failed.
            work.prepare()
            work.finish()
            promised = set(work.names())
        else:
            moments.crash(work)
            promised = set()
        need_no_process()
        disk.fail()
        store = Store(root)
        refs = store.check()
        need(promised <= refs.keys(), "lost though told to be done:", promised)
        work.finish()
        store.check_at_rest()
        work.check(root)
    return moments


def main():
    kind, count = sys.argv[1], int(sys.argv[2])
    seed = os.environ.get("FAULT_SEED") or str(random.SystemRandom().getrandbits(32))
    print("FAULT_SEED=" + seed, flush=True)
    rng = random.Random(seed)
    become_subreaper()
    work = {"build": Build, "push": Push, "pull": Pull, "power": Build}[kind](rng)
    try:
        if kind == "power":
            moments = crash_power(work, count, rng)
        else:
            moments = crash_processes(work, count, rng)
    except Damage as e:
        sys.exit("round %d: %s" % (work.round, e))
    print(moments.summary())


if __name__ == "__main__":
    main()
