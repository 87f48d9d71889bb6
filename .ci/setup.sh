# shellcheck shell=bash
# What `./run` and `./test` need on a Debian or Ubuntu machine. To be sourced, from the repository's
# root. Nothing is installed that is already there, and nothing without saying so.

set -euo pipefail

# Builds read .sqlx/ instead of asking a database, also where DATABASE_URL is set for tests.
export SQLX_OFFLINE=true

say() {
    if [ -t 2 ]; then
        printf '\033[1m==> %s\033[0m\n' "$*" >&2
    else
        printf '==> %s\n' "$*" >&2
    fi
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        fail "this needs root, and there is no sudo: $*"
    fi
}

# install REASON PACKAGE...
install() {
    local reason=$1 log
    shift
    has apt-get || fail "$reason; install what Debian calls: $*"
    say "$reason; installing $*"
    log=$(mktemp)
    if ! as_root apt-get update >"$log" 2>&1 </dev/null ||
        ! as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        fail "could not install $*"
    fi
    rm -f "$log"
}

need_rust() {
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    has cargo || fail "found no cargo; install Rust (see Cargo.toml for the oldest version that \
will do) from https://rustup.rs and run this again"
}

# The C parts of aws-lc and the linker.
need_c_compiler() {
    has cc || install "found no C compiler" gcc libc6-dev
}

# The directory of PostgreSQL's server programs, found as src/dev/postgres/programs.rs does.
postgres_programs() {
    local directory
    if has initdb && has postgres; then
        dirname "$(readlink -f "$(command -v initdb)")"
        return
    fi
    for directory in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
        if [ -x "$directory/initdb" ] && [ -x "$directory/postgres" ]; then
            echo "$directory"
            return
        fi
    done
    return 1
}

# Installs the programs only: Debian's package would also create and start a database of its own.
need_postgres() {
    local drop_in=/etc/postgresql-common/createcluster.d/otp-auth.conf
    if postgres_programs >/dev/null; then
        return
    fi
    as_root mkdir -p "$(dirname "$drop_in")"
    echo "create_main_cluster = false" | as_root tee "$drop_in" >/dev/null
    install "found no PostgreSQL server programs" postgresql
    as_root rm -f "$drop_in"
    postgres_programs >/dev/null || fail "installed postgresql, but still find no server programs"
}

need_wrk() {
    has wrk || install "found no wrk, which makes the load" wrk
}

need_python() {
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        install "found no Python with venv" python3 python3-venv
    fi
}

# Prints the path of a Chromium, as Debian, Ubuntu or Google call it.
browser() {
    local name
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" && return
    done
    return 1
}

# Puts promtool into a directory. Debian's package would also start a Prometheus, and bring 20 MB of
# pages, so only this one program of it is unpacked.
need_promtool() {
    local directory=$1 work
    if [ -x "$directory/promtool" ]; then
        return
    fi
    mkdir -p "$directory"
    if has promtool; then
        ln -sf "$(command -v promtool)" "$directory/promtool"
        return
    fi
    has apt-get || fail "found no promtool; install it from https://prometheus.io/download/"
    say "found no promtool; unpacking it from Debian's package prometheus into $directory"
    work=$(mktemp -d)
    # The lists may be missing, or name a version that is gone.
    (cd "$work" && chmod 755 . && apt-get download prometheus >log 2>&1) ||
        (cd "$work" && as_root apt-get update >log 2>&1 </dev/null && apt-get download prometheus >>log 2>&1) ||
        fail "could not fetch Debian's package prometheus: $(cat "$work/log")"
    dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$work" ./usr/bin/promtool
    mv "$work/usr/bin/promtool" "$directory/promtool"
    rm -rf "$work"
}

# For the tests in a browser, with curl, over TLS and with other people's token libraries.
need_browser_and_scripts() {
    has curl || install "found no curl" curl
    has jq || install "found no jq" jq
    has openssl || install "found no openssl" openssl
    if ! browser >/dev/null; then
        if apt-cache show chromium >/dev/null 2>&1; then
            install "found no Chromium" chromium
        else
            install "found no Chromium" chromium-browser
        fi
    fi
    # Not the library itself, with which Debian would bring 400 MB of Go.
    has jwt || install "found no jwt, the program of golang-jwt" jwt
    need_python
    if ! has node || ! has npm; then
        install "found no Node.js with npm" nodejs npm
    fi
    if ! node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)'; then
        fail "the end-to-end tests need Node.js 18 or newer; this is $(node --version)"
    fi
}
