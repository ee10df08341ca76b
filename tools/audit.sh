#!/bin/sh
# Look for known vulnerabilities in the locked packages. Needs a vulnerability database, which only
# the network has. pip-audit also says "none" of packages it could not look up, so a package known to
# be vulnerable is looked up first: if it is not found, the audit is SKIPPED, says so and ends with 0
# (with 1 if AUDIT=required).
set -eu
cd "$(dirname "$0")/.."
uv=uv
command -v uv >/dev/null 2>&1 || uv=.bootstrap/bin/uv
export UV_SYSTEM_CERTS=true
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
audit() {
    "$uv" tool run --quiet pip-audit --disable-pip --progress-spinner off --timeout 15 "$@" 2>&1
}
echo "jinja2==2.11.2" >"$folder/canary.txt"
if ! audit --no-deps --requirement "$folder/canary.txt" >"$folder/said" &&
    grep -q "Found .* known vulnerabilit" "$folder/said"; then
    audit --require-hashes --strict --requirement requirements.lock
    echo "audit: no known vulnerabilities in requirements.lock"
else
    echo "audit: SKIPPED, no database of vulnerabilities can be reached from here:"
    grep -v '^ *$' "$folder/said" | tail -1 | cut -c1-160
    [ "${AUDIT:-}" != required ]
fi
