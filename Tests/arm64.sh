#!/usr/bin/env bash
# Compiles the kernels for arm64, runs them in an emulator, and compares the digest over all of them with that of this machine.
# On Debian: apt-get install qemu-user libc6-dev-arm64-cross libgcc-12-dev-arm64-cross (clang and lld come with Swift).
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/main.c" <<'C'
#include "CAutodidact.h"
#include <stdio.h>
int main(void) {
    const char *names[] = {"portable", "avx2", "avx2vnni", "avx512", "avx512vnni", "neon"};
    for (int i = 0; i < 6; i++) {
        const ad_kernels *kernels = ad_kernels_named(names[i]);
        if (kernels) printf("%016llx %s\n", (unsigned long long)ad_kernels_digest(kernels), names[i]);
    }
}
C
sources=(Sources/CAutodidact/*.c "$work/main.c")
clang -O2 -ISources/CAutodidact/include "${sources[@]}" -lm -o "$work/here"
clang -O2 --target=aarch64-linux-gnu -fuse-ld=lld -ISources/CAutodidact/include "${sources[@]}" -static -lm -o "$work/arm64"
"$work/here" | sed 's/$/ here/' | tee "$work/digests"
qemu-aarch64 -cpu max "$work/arm64" | sed 's/$/ arm64, emulated/' | tee -a "$work/digests"
grep -q ' neon ' "$work/digests" || { echo "the neon variant was not run" >&2; exit 1; }
[ "$(cut -d' ' -f1 "$work/digests" | sort -u | wc -l)" = 1 ] || { echo "the digests differ" >&2; exit 1; }
