#!/usr/bin/env bash
# Installs the system packages that building needs, where they are missing; as another user than root it prints the command.
set -euo pipefail

command -v swift >/dev/null || {
  echo "Swift 6.2 or newer is needed and 'swift' is not on the PATH: see https://www.swift.org/install" >&2
  exit 1
}

missing=()
# GRDB links the system's SQLite.
[ "$(uname -s)" = Darwin ] || [ -e /usr/include/sqlite3.h ] || missing+=(libsqlite3-dev)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"
  else
    echo "Missing: ${missing[*]}. Install with: sudo apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
fi
