# shellcheck shell=bash
# The PgBouncer that tests/e2e/rolling.test.mjs starts. To be sourced, after setup.sh and gateways.sh.

# The oldest that keeps prepared statements apart (max_prepared_statements).
OLDEST_PGBOUNCER=1.21
# What runs it, beside what it links to.
PGBOUNCER_PARTS=(
    pgbouncer libc6 libgcc-s1 libevent-2.1-7t64 libcares2 libssl3t64 libzstd1 zlib1g libpam0g libaudit1 libcap-ng0
    libsystemd0 libcap2
)

is_new_enough() {
    [ -n "$1" ] && dpkg --compare-versions "$1" ge "$OLDEST_PGBOUNCER"
}

# need_pgbouncer DIRECTORY: leaves a program DIRECTORY/pgbouncer.
need_pgbouncer() {
    local directory=$1 candidate
    PATH=$PATH:/usr/sbin
    [ -x "$directory/pgbouncer" ] && "$directory/pgbouncer" --version >/dev/null 2>&1 && return
    rm -rf "$directory"
    mkdir -p "$directory"
    if ! has pgbouncer; then
        candidate=$(apt-cache policy pgbouncer 2>/dev/null | sed -n 's/^ *Candidate: //p')
        if is_new_enough "$candidate"; then
            without_starting install "found no PgBouncer" pgbouncer
        fi
    fi
    if has pgbouncer && is_new_enough "$(pgbouncer --version | sed -n 's/^PgBouncer //p')"; then
        ln -s "$(command -v pgbouncer)" "$directory/pgbouncer"
        return
    fi
    pgbouncer_of_debian_13 "$(realpath "$directory")"
}

# Debian 12 has 1.18. The one of Debian 13 runs there too, with the libraries that it came with. apt checks the
# signatures, and keeps all of it in a directory of its own.
pgbouncer_of_debian_13() {
    local directory=$1 apt=$1/apt libraries keyring=/usr/share/keyrings/debian-archive-keyring.gpg package
    [ -e "$keyring" ] || fail "found no PgBouncer $OLDEST_PGBOUNCER or newer; install one"
    say "Fetching Debian 13's PgBouncer into $directory"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$directory/root"
    : >"$apt/status"
    echo "deb [signed-by=$keyring] http://deb.debian.org/debian trixie main" >"$apt/sources.list"
    cat >"$apt/conf" <<EOF
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::Status "$apt/status";
Dir::Cache "$apt/cache";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Debug::NoLocking "true";
EOF
    # By the variable, so that the directories are known before anything else is read. None of it needs root.
    (
        cd "$apt/cache"
        APT_CONFIG=$apt/conf apt-get -qq update
        APT_CONFIG=$apt/conf apt-get -qq -o APT::Sandbox::User="$(id -un)" download "${PGBOUNCER_PARTS[@]}"
        for package in ./*.deb; do
            dpkg-deb --extract "$package" "$directory/root"
        done
    )
    rm -rf "$apt"
    libraries=$(dirname "$(find "$directory/root/usr/lib" -name libc.so.6)")
    cat >"$directory/pgbouncer" <<EOF
#!/bin/sh
exec "$(find "$directory/root/usr/lib" -name 'ld-linux*')" --library-path "$libraries" "$directory/root/usr/sbin/pgbouncer" "\$@"
EOF
    chmod +x "$directory/pgbouncer"
    "$directory/pgbouncer" --version >/dev/null || fail "Debian 13's PgBouncer does not run here; install one"
}
