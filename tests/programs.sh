# shellcheck shell=bash
# What tests/run and benches/side_by_side/run share to get foreign programs; sourced after deploy/packages.sh, from the
# root of the repository. They are kept under tests/.peers/ (git-ignored).

peers=tests/.peers
mkdir -p "$peers/bin"

# link NAME PROGRAM: where the harness looks for a program that was found elsewhere.
link() { ln -sfn "$2" "$peers/bin/$1"; }

# stamp_of FILE...: what a complete installation was made from; a peer is installed again when it changes.
stamp_of() { cat "$@" | cksum; }

# Debian's redis-tools holds the one program that redis-server is a name of; the package of that name would also start
# a service, which is not ours to do.
need_redis() {
    local server
    if server=$(command -v redis-server); then
        link redis-server "$server"
    elif ! "$peers/bin/redis-server" --version >/dev/null 2>&1; then
        install_packages "Redis" redis-tools
        link redis-server "$(command -v redis-check-rdb)"
    fi
    "$peers/bin/redis-server" --version >/dev/null || fail "redis-server does not run"
}

# usable_python PROGRAM: 3.10 or newer, and able to make a virtual environment with pip in it.
usable_python() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if usable_python "$name"; then
            echo "$name"
            return
        fi
    done
    return 1
}
