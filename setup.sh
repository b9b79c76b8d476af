#!/usr/bin/env bash
# Installs what the named parts of the work need, and nothing that is there already.
# Usage: setup.sh build|demo|bench|peers|test ...   (Debian 12 or newer, Ubuntu 22.04 or newer)
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$HOME/.cargo/bin:$PATH"

RUST_OLDEST=1.95 # as rust-version in Cargo.toml
NODE_OLDEST=14   # oldest that the tenants' Node SDK runs on

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# apt_install PACKAGE...: those of them that are missing.
apt_install() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    echo "installing ${missing[*]}" >&2
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

install_rust() {
    local have
    have=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
    if [ -n "$have" ] && at_least "$have" "$RUST_OLDEST"; then return; fi
    if command -v rustup >/dev/null; then
        echo "Rust ${have:-?} is older than $RUST_OLDEST: updating it" >&2
        rustup update stable && rustup default stable
    else
        echo "installing Rust by rustup" >&2
        apt_install curl ca-certificates
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile default
    fi
}

for part in "$@"; do
    case $part in
        build)
            apt_install gcc libc6-dev make
            install_rust
            ;;
        demo) apt_install flite ;;
        bench) apt_install python3 ;;
        peers) apt_install python3 redis-server redis-tools postgresql ;;
        test)
            apt_install sip-tester python3
            python3 -c 'import venv, ensurepip' 2>/dev/null || apt_install python3-venv
            if ! command -v npm >/dev/null; then apt_install nodejs npm; fi
            at_least "$(node --version | tr -d v)" "$NODE_OLDEST" || { echo "node $(node --version) is older than $NODE_OLDEST" >&2; exit 1; }
            rustup component add clippy rustfmt 2>/dev/null || true
            cargo deny --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-deny
            ;;
        *) echo "setup.sh: unknown part '$part': allowed are build, demo, bench, peers, test" >&2; exit 2 ;;
    esac
done
