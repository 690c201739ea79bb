#!/bin/sh
# Sees that what a group of targets needs is installed, and writes to a file where it is.
# usage: depend.sh build|test|lint|bench|fuzz FILE
# On Debian and its kin what is missing is installed with apt-get; elsewhere it is listed.
set -eu
group=$1
file=$2
cc=${CC:-gcc} # may be two words: "ccache gcc"

# Each need is a package of Debian and a command that succeeds if it is there.
has_command() { command -v "$1" >/dev/null 2>&1; }
has_header() { printf '#include <%s>\n' "$1" | $cc $2 -E - >/dev/null 2>&1; }
# cmocka's header wants others before it.
has_cmocka() { printf '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n#include <cmocka.h>\n' | $cc -E - >/dev/null 2>&1; }
has_fuzzer() {
  echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n == 1; }' |
    clang -x c - -fsanitize=fuzzer,address -o /dev/null >/dev/null 2>&1
}

missing() {
  case $group in
    build)
      has_command "${cc%% *}" || echo gcc
      has_header stdio.h "" || echo libc6-dev
      has_command lua5.4 || echo lua5.4
      has_header lua5.4/lua.h "" || echo liblua5.4-dev
      has_header uv.h "" || echo libuv1-dev
      has_header histedit.h "" || echo libedit-dev
      has_header http_parser.h "" || echo libhttp-parser-dev
      has_header openssl/ssl.h "" || echo libssl-dev
      has_header curl/curl.h "" || echo libcurl4-openssl-dev
      ;;
    test)
      has_cmocka || echo libcmocka-dev
      [ -x /usr/bin/busted ] || echo lua-busted
      has_command g++ || echo g++
      has_command pkg-config || echo pkg-config
      has_command tmux || echo tmux
      lua5.4 -e 'require "socket"' >/dev/null 2>&1 || echo lua-socket
      lua5.4 -e 'require "ssl"' >/dev/null 2>&1 || echo lua-sec
      has_command python3 || echo python3
      lua5.4 -e 'require "luv"' >/dev/null 2>&1 || echo lua-luv
      has_command pkill || echo procps
      has_command curl || echo curl
      [ -x /usr/sbin/nginx ] || echo nginx
      has_command openssl || echo openssl
      [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
      ;;
    bench)
      has_command pkg-config || echo pkg-config
      has_command wrk || echo wrk
      [ -x /usr/sbin/nginx ] || echo nginx
      has_command curl || echo curl
      has_command python3 || echo python3
      ;;
    fuzz)
      has_command clang || echo clang
      has_fuzzer || echo libclang-rt-dev
      ;;
    lint)
      has_command clang-format || echo clang-format
      has_command clang-tidy || echo clang-tidy
      has_command cppcheck || echo cppcheck
      has_command luacheck || echo lua-check
      ;;
    *)
      echo "depend.sh: no group '$group'" >&2
      exit 2
      ;;
  esac
}

packages=$(missing | tr '\n' ' ')
if [ -n "$packages" ]; then
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  if ! has_command apt-get || ! has_command "${as_root:-apt-get}"; then
    echo "please install what neap needs here, by its Debian names: $packages" >&2
    exit 1
  fi
  echo "installing with apt-get: $packages"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  install="$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages"
  # The list of packages may be old or empty: refresh it before, and keep quiet unless something fails.
  if ! { $as_root apt-get update -qq && $install; } >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    echo "apt-get could not install: $packages" >&2
    exit 1
  fi
  packages=$(missing | tr '\n' ' ')
  if [ -n "$packages" ]; then
    echo "installed, but still not found: $packages" >&2
    exit 1
  fi
fi

mkdir -p "$(dirname "$file")"
{
  echo "# Written by scripts/tools/depend.sh."
  if [ "$group" = build ]; then
    echo "LUA_CFLAGS := -isystem /usr/include/lua5.4"
    echo "LUA_STATIC := -l:liblua5.4.a"
    echo "LUA_SHARED := -llua5.4"
    echo "UV_CFLAGS :="
    echo "UV_SHARED := -luv"
    echo "HTTP_PARSER := -l:libhttp_parser.a"
    if echo 'int main(void) { return 0; }' | $cc -x c - -o /dev/null -l:libuv_a.a 2>/dev/null; then
      # What is inside stays inside: luv brings its own.
      echo "UV_STATIC := -l:libuv_a.a -lrt -Wl,--exclude-libs,libuv_a.a"
    else
      echo "UV_STATIC := -luv"
    fi
  fi
} >"$file"
