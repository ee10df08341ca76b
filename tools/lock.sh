#!/bin/sh
# Refresh requirements.lock: hashes, no index addresses, everything development needs.
set -eu
cd "$(dirname "$0")/.."
uv=uv
command -v uv >/dev/null 2>&1 || uv=.bootstrap/bin/uv
exec "$uv" pip compile pyproject.toml --all-extras --group dev --python-version 3.12 \
    --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock "$@"
