"""The tools that run.py measures, and the registry that they push to."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request


class Failed(Exception):
    """A command that must succeed did not."""


# Measures from a small process of its own: what a process is charged as its largest resident
# set begins with that of its parent, and this one's is large.
METER = """
import os, sys, time
begin = time.monotonic()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(3, "w") as out:
    print(time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024,
          file=out)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def run(command, env=None):
    """Runs it; returns (seconds, those of the processors, the largest resident set of a process
    in it, in bytes)."""
    with tempfile.TemporaryFile() as log, tempfile.TemporaryFile("r") as figures:
        meter = "exec 3>&%d; exec %s -I -S -c '%s' \"$@\"" % (
            figures.fileno(), sys.executable, METER)
        done = subprocess.run(["sh", "-c", meter, "sh", *command], stdin=subprocess.DEVNULL,
                              stdout=log, stderr=log, pass_fds=[figures.fileno()],
                              env=dict(os.environ, **(env or {})))
        if done.returncode:
            log.seek(0)
            raise Failed("%s failed:\n%s" % (
                " ".join(command), log.read().decode(errors="replace")[-3000:]))
        figures.seek(0)
        seconds, processors, peak = figures.read().split()
    return float(seconds), float(processors), int(peak)


def wait_for(what, is_there, process, seconds=30):
    deadline = time.monotonic() + seconds
    while not is_there():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(what + " does not start")
        time.sleep(0.05)


def stop(process):
    if process:
        process.terminate()
        process.wait()


# --- The registry ---

class Registry:
    def __init__(self, top):
        self.top = top
        self.process = None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.host = "127.0.0.1:%d" % s.getsockname()[1]

    def start(self):
        config = os.path.join(self.top, "registry.yml")
        with open(config, "w") as f:
            f.write("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: "
                    "%s/registry}}\nhttp: {addr: %s}\n" % (self.top, self.host))
        self.process = subprocess.Popen(["docker-registry", "serve", config],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("docker-registry", self.answers, self.process)
        run(["skopeo", "copy", "--dest-tls-verify=false", "oci:%s/base:latest" % self.top,
             "docker://%s/base:1" % self.host])

    def answers(self):
        try:
            with urllib.request.urlopen("http://%s/v2/" % self.host):
                return True
        except OSError:
            return False

    def stop(self):
        stop(self.process)
        self.process = None

    def wipe(self):
        self.stop()
        shutil.rmtree(os.path.join(self.top, "registry"), ignore_errors=True)
        self.start()


# --- The tools ---

class Tool:
    def __init__(self, top, registry):
        self.top = os.path.join(top, self.name)
        self.registry = registry
        self.base = registry.host + "/base:1"
        self.peak = 0
        os.makedirs(self.top, exist_ok=True)

    def run(self, *commands):
        """Returns the seconds that passed, and those of the processors."""
        total, cpu = 0, -self.daemon_seconds()
        for command in commands:
            seconds, processors, peak = run(command, self.environment())
            total += seconds
            cpu += processors
            self.peak = max(self.peak, peak)
        return total, cpu + self.daemon_seconds()

    def daemon_seconds(self):
        return 0

    def environment(self):
        return {}

    def start(self):
        pass

    def stop(self):
        pass

    def is_installed(self):
        return all(shutil.which(p) for p in self.programs()[:1])

    def size(self):
        """Of the programs, without symbols."""
        total = 0
        for program in self.programs():
            with tempfile.NamedTemporaryFile() as stripped:
                run(["strip", "-o", stripped.name, os.path.realpath(shutil.which(program))])
                total += os.path.getsize(stripped.name)
        return total

    def peak_bytes(self):
        return self.peak


class Cooper(Tool):
    name = "cooper"

    def __init__(self, top, registry, program, network):
        super().__init__(top, registry)
        self.program = program
        self.network = network

    def programs(self):
        return [self.program, os.path.join(os.path.dirname(self.program), "libcooper-http.so")]

    def is_installed(self):
        return os.access(self.program, os.X_OK)

    def size(self):
        total = 0
        for program in self.programs():
            with tempfile.NamedTemporaryFile() as stripped:
                run(["strip", "-o", stripped.name, program])
                total += os.path.getsize(stripped.name)
        return total

    def version(self):
        return subprocess.run([self.program, "--version"], capture_output=True,
                              text=True).stdout.strip().splitlines()[0]

    def environment(self):
        return {"COOPER_ROOT": os.path.join(self.top, "store")}

    def reset(self):
        shutil.rmtree(os.path.join(self.top, "store"), ignore_errors=True)
        run([self.program, "pull", "-q", self.base], self.environment())

    def build(self, ctx, tag, cold=False, push=False):
        return self.run([self.program, "build", "-q", "--network=" + self.network, "-t", tag] +
                        ["--no-cache"] * cold + ["--push"] * push + [ctx])


class Daemon(Tool):
    """A tool whose work is done by a process that runs all the time."""

    process = None

    def start(self):
        with open(os.path.join(self.top, "log"), "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        wait_for(self.programs()[0], self.answers, self.process, 60)

    def answers(self):
        return subprocess.run(self.probe(), env=dict(os.environ, **self.environment()),
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def stop(self):
        self.note_peak()
        stop(self.process)
        self.process = None

    def daemon_files(self, name):
        """The contents of /proc/PID/NAME of the daemons and what they started."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid) as f:
                    ours = self.top in f.read()
                with open("/proc/%s/%s" % (pid, name)) as f:
                    text = f.read()
            except OSError:
                continue
            if ours:
                yield text

    def daemon_seconds(self):
        """Of the daemons and their children that ended; not of those whose parents did, too."""
        ticks = 0
        for stat in self.daemon_files("stat"):
            ticks += sum(int(n) for n in stat.rpartition(")")[2].split()[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def note_peak(self):
        """The daemons' largest resident sets, together."""
        high = [line.split()[1] for status in self.daemon_files("status")
                for line in status.splitlines() if line.startswith("VmHWM:")]
        self.peak = max(self.peak, 1024 * sum(map(int, high)))

    def peak_bytes(self):
        self.note_peak()
        return self.peak


class Docker(Daemon):
    name = "docker"

    def __init__(self, top, registry):
        super().__init__(top, registry)
        # Debian's own client: newer ones need a plugin to build.
        self.client = "/usr/bin/docker"
        self.socket = "unix://%s/sock" % self.top

    def programs(self):
        return ["dockerd", self.client, "containerd", "containerd-shim-runc-v2", "runc"]

    def is_installed(self):
        return bool(shutil.which("dockerd")) and os.access(self.client, os.X_OK)

    def version(self):
        return subprocess.run(["dockerd", "--version"], capture_output=True,
                              text=True).stdout.strip()

    def environment(self):
        return {"DOCKER_HOST": self.socket, "DOCKER_BUILDKIT": "1"}

    def command(self):
        return ["dockerd", "-H", self.socket, "--data-root", self.top + "/data", "--exec-root",
                self.top + "/exec", "--pidfile", self.top + "/pid", "--iptables=false",
                "--ip6tables=false", "--bridge=none", "--insecure-registry", self.registry.host]

    def probe(self):
        return [self.client, "version"]

    def reset(self):
        env = self.environment()
        run([self.client, "system", "prune", "--all", "--force", "--volumes"], env)
        run([self.client, "builder", "prune", "--all", "--force"], env)
        run([self.client, "pull", "-q", self.base], env)

    def build(self, ctx, tag, cold=False, push=False):
        commands = [[self.client, "build", "-q", "--network=host", "-t", tag] +
                    ["--no-cache"] * cold + [ctx]]
        if push:
            commands.append([self.client, "push", "-q", tag])
        return self.run(*commands)


class BuildKit(Daemon):
    """buildkitd by itself: of the same age as the design's figures, where docker's is older."""

    name = "buildkit"

    def __init__(self, top, registry):
        super().__init__(top, registry)
        self.socket = "unix://%s/sock" % self.top

    def programs(self):
        return ["buildkitd", "buildctl", "runc"]

    def version(self):
        return subprocess.run(["buildkitd", "--version"], capture_output=True,
                              text=True).stdout.strip()

    def environment(self):
        return {"BUILDKIT_HOST": self.socket}

    def command(self):
        config = os.path.join(self.top, "buildkitd.toml")
        with open(config, "w") as f:
            f.write('[registry."%s"]\nhttp = true\n' % self.registry.host)
        return ["buildkitd", "--config", config, "--root", self.top + "/root", "--addr",
                self.socket, "--containerd-worker=false", "--oci-worker-net=host",
                "--oci-worker-gc=false"]

    def probe(self):
        return ["buildctl", "debug", "workers"]

    def reset(self):
        run(["buildctl", "prune", "--all"], self.environment())
        with tempfile.TemporaryDirectory(dir=self.top) as ctx:
            with open(os.path.join(ctx, "Dockerfile"), "w") as f:
                f.write("FROM %s\nRUN true\n" % self.base)
            self.build(ctx, "reset:1")

    def build(self, ctx, tag, cold=False, push=False):
        return self.run(["buildctl", "build", "--progress=plain", "--frontend=dockerfile.v0",
                         "--local=context=" + ctx, "--local=dockerfile=" + ctx,
                         "--output=type=image,name=%s,push=%s" % (tag, str(push).lower())] +
                        ["--no-cache"] * cold)


class Buildah(Tool):
    name = "buildah"

    def programs(self):
        return ["buildah", "runc"]

    def version(self):
        return subprocess.run(["buildah", "--version"], capture_output=True,
                              text=True).stdout.strip()

    def command(self, *words):
        return ["buildah", "--root", self.top + "/root", "--runroot", self.top + "/run",
                "--storage-driver", "overlay", *words]

    def reset(self):
        run(self.command("rmi", "--all", "--force"))
        run(self.command("pull", "-q", "--tls-verify=false", self.base))

    def build(self, ctx, tag, cold=False, push=False):
        commands = [self.command(
            "bud", "-q", "--tls-verify=false", "--isolation", "chroot", "--network", "host",
            "--layers", "--pull=false", "--ulimit", "nofile=20000:20000", "--ulimit",
            "nproc=32768:32768", "-t", tag) + ["--no-cache"] * cold + [ctx]]
        if push:
            commands.append(self.command("push", "-q", "--tls-verify=false", tag))
        return self.run(*commands)
