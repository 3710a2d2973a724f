#!/bin/sh
# Run a command with the argon2 that was built for AVX2, where the processor has AVX2; elsewhere with the plain wheel.
#
# A process that met an instruction which its processor lacks would die. So this looks first, at every start: an image moves.
set -eu
avx2=${ARGON2_AVX2:-/opt/keycard-avx2}
if [ -d "$avx2/_argon2_cffi_bindings" ] && grep -qw avx2 "${CPUINFO:-/proc/cpuinfo}" 2>/dev/null; then
    export PYTHONPATH="$avx2${PYTHONPATH:+:$PYTHONPATH}"
fi
exec "$@" # the command takes this process's place, and so gets its signals
