#!/bin/sh
# Build the argon2 that is installed a second time, for processors with AVX2, into a folder of its own.
#
# usage: build-argon2.sh LOCK FOLDER [PYTHON]
#
# The wheel on PyPI is made for every x86-64 processor and uses SSE2. The same source, built with AVX2, needs a fifth to a third less
# time for a hash. The version and the hash of the source come from the lock file. Needs a C compiler, and a Python with pip and
# what deploy/build.lock names; on other processors it makes an empty folder.
set -eu
lock=$1
folder=$2
python=${3:-python3}

mkdir -p "$folder"
[ "$(uname -m)" = x86_64 ] || exit 0
source=$(mktemp)
trap 'rm -f "$source"' EXIT
# Its lines of the lock file: the name, and one hash a line for as long as a line ends with a backslash.
sed -n '/^argon2-cffi-bindings==/,/[^\\]$/p' "$lock" >"$source"
# --no-cache-dir: a wheel that pip has built before, without the flags, must not be taken instead.
CFLAGS="-O3 -mavx2" "$python" -m pip install --no-cache-dir --no-deps --disable-pip-version-check --require-hashes \
    --no-build-isolation --no-binary argon2-cffi-bindings --target "$folder" -r "$source"
