# shellcheck shell=bash
# What the scripts share to get system packages; sourced, never run.

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

# as_root COMMAND...: runs it, through sudo when we are not root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root and there is no sudo: $*"
    fi
}

# install_packages WHAT PACKAGE...: installs Debian packages, or says what to install where there is no apt.
install_packages() {
    local what=$1
    shift
    command -v apt-get >/dev/null ||
        fail "$what is missing. Install it with your system's package manager (on Debian: $*), then run this again."
    say "installing $what: $*"
    local log
    log=$(mktemp)
    # Package lists may be absent or old on a fresh machine; the services of a package stay off (policy of the caller).
    if ! as_root apt-get update >"$log" 2>&1 ||
        ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        fail "apt could not install $what ($*)"
    fi
    rm -f "$log"
}

# The modules OpenSSL's build scripts load; Debian's minimal perl-base lacks some of them.
has_full_perl() { perl -MFindBin -MIPC::Cmd -MFile::Compare -MFile::Copy -MTime::Piece -e 1 2>/dev/null; }

# need_build_tools: what `cargo build` calls besides Rust itself.
need_build_tools() {
    command -v cargo >/dev/null || fail "Rust is missing. Install it with rustup (https://rustup.rs), then run this again."
    local packages=()
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    command -v make >/dev/null || packages+=(make)
    command -v cmake >/dev/null || packages+=(cmake)
    has_full_perl || packages+=(perl)
    if [ ${#packages[@]} -gt 0 ]; then
        install_packages "what the build needs (a C compiler, make, cmake, perl)" "${packages[@]}"
    fi
}
