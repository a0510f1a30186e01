#!/usr/bin/env bash
# Makes the reference of all public modules from their comments, as one DocC archive under docs/reference. Any warning is an error.
# Reads what `make build` has built: nothing is compiled again, and no package is needed beyond the toolchain.
set -euo pipefail
cd "$(dirname "$0")/.."
build=.build/release
out=docs/reference
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
target=$(swift -print-target-info | python3 -c 'import json, sys; print(json.load(sys.stdin)["target"]["unversionedTriple"])')

# The C modules that the Swift ones import.
maps=()
while read -r map; do maps+=(-Xcc "-fmodule-map-file=$map"); done < <(
  find "$PWD"/$build/*.build "$PWD"/.build/checkouts/*/Sources -maxdepth 3 -name module.modulemap -print0 |
    xargs -0 grep -lE '^module (CAutodidact|CYaml|GRDBSQLite|CCrypto|CXKCP)')

archives=()
for module in Tensors ModelFiles ModelHub Tokenization Architectures Sampling Tasks Training Evaluation Recipes Runs; do
  mkdir -p "$work/$module"
  swift symbolgraph-extract -module-name $module -target "$target" -I $build/Modules "${maps[@]}" -minimum-access-level public -output-dir "$work/$module"
  rm -f "$work/$module/$module@"*  # what it adds to others' types would become pages of their own
  docc convert --additional-symbol-graph-dir "$work/$module" --fallback-display-name $module --fallback-bundle-identifier autodidact.$module \
    --warnings-as-errors --output-path "$work/$module.doccarchive"
  archives+=("$work/$module.doccarchive")
done
rm -rf $out
docc merge "${archives[@]}" --synthesized-landing-page-name Autodidact --output-path $out
echo "reference: $out (to read it: python3 -m http.server --directory $out)"
