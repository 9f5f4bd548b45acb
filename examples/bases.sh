#!/bin/bash
# bases.sh [--store DIR] [--fresh] [NAME...]: makes the base images of the examples.
#
#   busybox     Debian's static busybox with a name for each of its tools
#   debian:12   a minimal Debian 12 made by mmdebstrap, set up as Debian's own images are
#
# Both are made of this machine's packages and Debian's archive alone, so that a first build
# needs no registry; and both are deterministic: equal packages give equal digests. Without
# names, both are made.
#
# The root file systems are kept below ${XDG_CACHE_HOME:-~/.cache}/cooper-examples, as Debian's
# takes half a minute to make; --fresh makes them anew, which is how newer packages get in.
#
#   --store DIR         the store to import into (default: cooper's own)
#   $COOPER             the program (default: the one in PATH)
#   $DEBIAN_MIRROR      in place of http://deb.debian.org/debian
#   $DEBIAN_SECURITY    in place of http://deb.debian.org/debian-security
set -euo pipefail

# The day of Debian 12's first release: no time in a base image is later.
epoch=1686355200
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
security=${DEBIAN_SECURITY:-http://deb.debian.org/debian-security}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/cooper-examples
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
fresh=
names=()

usage() {
    echo "usage: bases.sh [--store DIR] [--fresh] [busybox] [debian:12]" >&2
    exit 2
}

while (($#)); do
    case $1 in
    --store)
        (($# > 1)) || usage
        export COOPER_ROOT=$2
        shift
        ;;
    --fresh) fresh=yes ;;
    busybox | debian:12) names+=("$1") ;;
    *) usage ;;
    esac
    shift
done
((${#names[@]})) || names=(busybox debian:12)

umask 022
mkdir -p "$cache"
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null || {
        echo "bases.sh: there is no $1: apt-get install $2" >&2
        exit 1
    }
}

# make_busybox TAR
make_busybox() {
    local root=$work/busybox tool

    need busybox busybox-static
    if ldd "$(command -v busybox)" >/dev/null 2>&1; then
        echo "bases.sh: $(command -v busybox) is not static: apt-get install busybox-static" >&2
        exit 1
    fi
    mkdir -p "$root"/{bin,dev,etc,home,proc,root,sys,tmp,usr/bin,usr/sbin,var/{log,spool,tmp}}
    chmod 700 "$root/root"
    chmod 1777 "$root/tmp" "$root/var/tmp"
    install -m 755 "$(command -v busybox)" "$root/bin/busybox"
    for tool in $(busybox --list); do
        [[ $tool == busybox ]] || ln -s busybox "$root/bin/$tool"
    done
    ln -s ../../bin/env "$root/usr/bin/env"
    cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
END
    cat >"$root/etc/group" <<'END'
root:x:0:
daemon:x:1:
bin:x:2:
tty:x:5:
www-data:x:33:
nogroup:x:65534:
END
    tar --create --file "$1" --directory "$root" --format=gnu --sort=name \
        --owner=0 --group=0 --numeric-owner --mtime="@$epoch" .
}

# What the host's apt was told about the way to its mirrors holds inside the image as well. (A
# proxy on a loopback address is reached by steps that share the host's network only.)
host_apt_config() {
    local key value

    for key in Acquire::http::Proxy Acquire::https::Proxy Acquire::Check-Valid-Until \
        Acquire::Check-Date; do
        value=
        eval "$(apt-config shell value "$key")"
        [[ -z $value ]] || printf '%s "%s";\n' "$key" "$value"
    done
}

# The settings of Debian's own container images: no leftovers of apt in layers, no service is
# started by a package, and dpkg does not sync each file, as an interrupted step is thrown away.
image_apt_config() {
    local etc=$1

    mkdir -p "$etc/apt/apt.conf.d" "$etc/dpkg/dpkg.cfg.d"
    cat >"$etc/apt/apt.conf.d/docker-clean" <<'END'
// Steps with a cache mount on /var/cache/apt remove this file first.
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
    echo 'Acquire::Languages "none";' >"$etc/apt/apt.conf.d/docker-no-languages"
    echo 'Acquire::GzipIndexes "true";' >"$etc/apt/apt.conf.d/docker-gzip-indexes"
    echo 'APT::AutoRemove::SuggestsImportant "false";' \
        >"$etc/apt/apt.conf.d/docker-autoremove-suggests"
    echo force-unsafe-io >"$etc/dpkg/dpkg.cfg.d/docker-apt-speedup"
    cat >"$etc/dpkg/dpkg.cfg.d/docker-no-documentation" <<'END'
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/info/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
END
    host_apt_config >"$etc/apt/apt.conf.d/90host"
    [[ -s $etc/apt/apt.conf.d/90host ]] || rm "$etc/apt/apt.conf.d/90host"
}

sources() {
    local suite

    for suite in bookworm bookworm-updates; do
        printf 'deb [signed-by=%s] %s %s main\n' "$1" "$mirror" "$suite"
    done
    printf 'deb [signed-by=%s] %s bookworm-security main\n' "$1" "$security"
}

# make_debian TAR
make_debian() {
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg overlay=$work/debian
    local clean

    need mmdebstrap mmdebstrap
    mkdir -p "$overlay/etc" "$overlay/usr/sbin"
    image_apt_config "$overlay/etc"
    printf '#!/bin/sh\nexit 101\n' >"$overlay/usr/sbin/policy-rc.d"
    chmod 755 "$overlay/usr/sbin/policy-rc.d"
    # What a bootstrap leaves behind: files that tell of its time and place, and documentation
    # of the first packages, which are unpacked without dpkg.
    clean=$(
        cat <<'END'
set -e
cd "$1"
chown 0:0 etc/apt/apt.conf.d/* etc/dpkg/dpkg.cfg.d/* usr/sbin/policy-rc.d
rm -rf var/cache/apt/* var/lib/apt/lists/* var/lib/dpkg/*-old var/cache/debconf/*-old
rm -f var/cache/ldconfig/aux-cache etc/.pwd.lock etc/hostname etc/resolv.conf
find var/log -type f -delete
find usr/share/doc ! -type d ! -name copyright -delete
find usr/share/doc -type d -empty -delete
rm -rf usr/share/man/* usr/share/info/* usr/share/locale/*
: >etc/machine-id
END
    )
    # The configuration comes first, so that it holds for what dpkg installs; policy-rc.d is
    # ours, and stays.
    sources "$keyring" | SOURCE_DATE_EPOCH=$epoch mmdebstrap --quiet \
        --variant=minbase --format=tar --architectures="$(dpkg --print-architecture)" \
        --skip=chroot/policy-rc.d \
        --setup-hook="copy-in '$overlay/etc' '$overlay/usr' /" \
        --customize-hook="$clean" \
        bookworm "$1" -
}

# A name for what a cached root file system was made of: this script and the machine's settings.
recipe() {
    { cat "$0" && sources keyring && host_apt_config && dpkg --print-architecture; } 2>/dev/null |
        sha256sum | cut -c 1-16
}

# base NAME MAKE COMMAND
base() {
    local name=$1 make=$2 command=$3 tar

    tar=$cache/${name/:/-}-$(recipe).tar
    if [[ -n $fresh || ! -e $tar ]]; then
        echo "making $name" >&2
        "$make" "$work/base.tar"
        rm -f "$cache/${name/:/-}"-*.tar
        mv "$work/base.tar" "$tar"
    fi
    "${COOPER:-cooper}" import --source-date-epoch "$epoch" --message "examples/bases.sh" \
        --change "CMD [\"$command\"]" --change "ENV PATH=$path" "$tar" "$name"
}

for name in "${names[@]}"; do
    case $name in
    busybox) base busybox make_busybox sh ;;
    debian:12) base debian:12 make_debian bash ;;
    esac
done
