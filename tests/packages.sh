#!/bin/bash
# packages.sh [build]: installs the Debian packages that are missing, as root or with sudo.
#
# With "build", only what cooper is built with; otherwise also what its tests and examples use.
# This is the one list of them.
set -euo pipefail

build=(
    ca-certificates
    cmake
    gcc
    libarchive-dev
    libc6-dev
    libcrypt-dev
    libcurl4-openssl-dev
    libisal-dev
    libjansson-dev
    libmicrohttpd-dev
    libseccomp-dev
    libsqlite3-dev
    libssl-dev
    libyaml-dev
    libzstd-dev
    ninja-build
    pkg-config
    zlib1g-dev
    # Base images for the first builds, networks of steps, and users' namespaces.
    busybox-static
    mmdebstrap
    passt
    uidmap
)
tests=(
    # Compilers, checks, test libraries.
    bats
    ccache
    clang
    clang-format
    clang-tidy
    libclang-rt-14-dev
    libcmocka-dev
    mandoc
    # Shells, for what they complete.
    fish
    zsh
    # Other people's tools, which must accept what we make.
    chromium-headless-shell
    containerd
    docker.io
    docker-registry
    golang-github-containers-common
    podman
    proot
    rpm
    runc
    skopeo
    umoci
    # What the tests themselves are written with.
    attr
    bzip2
    curl
    e2fsprogs
    git
    jq
    libcap2-bin
    iproute2
    mount
    openssl
    procps
    qemu-user-static
    nginx-light
    openssh-client
    openssh-server
    lighttpd
    lighttpd-mod-openssl
    python3
    python3-yaml
    sqlite3
    strace
    util-linux
    xz-utils
    zip
    zstd
)

case "${1:-}" in
'') wanted=("${build[@]}" "${tests[@]}") ;;
build) wanted=("${build[@]}") ;;
*)
    echo "usage: packages.sh [build]" >&2
    exit 2
    ;;
esac

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [[ $status == 'install ok installed' ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
((EUID == 0)) || as_root=(sudo)
echo "installing: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
