#!/bin/sh
# Create or refresh .venv from requirements.lock. Needs uv, or Python 3.12 (then uv is
# fetched as a package into .bootstrap/). Does nothing when the stamp is newer than its inputs.
set -eu
cd "$(dirname "$0")/.."
export UV_SYSTEM_CERTS=true # trust what the machine trusts, as pip does
stamp=.venv/.stamp
if [ -f "$stamp" ] && [ ! requirements.lock -nt "$stamp" ] && [ ! pyproject.toml -nt "$stamp" ]; then
    exit 0
fi

find_python() {
    for name in python3.12 python3 python; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    uv=.bootstrap/bin/uv
    if [ ! -x "$uv" ]; then
        python=$(find_python) || {
            echo "setup: neither uv nor Python 3.12 found; install one of them and run this again" >&2
            exit 1
        }
        echo "setup: fetching uv into .bootstrap/"
        "$python" -m venv .bootstrap
        .bootstrap/bin/python -m pip install --quiet --disable-pip-version-check uv
    fi
fi

echo "setup: installing the locked packages into .venv/"
if [ ! -x .venv/bin/python ]; then
    "$uv" venv --quiet --python 3.12 .venv
fi
VIRTUAL_ENV="$PWD/.venv" "$uv" pip sync --quiet --require-hashes requirements.lock
VIRTUAL_ENV="$PWD/.venv" "$uv" pip install --quiet --no-deps --no-build-isolation --editable .
# What every start imports, as bytecode: a machine may forbid Python to write it as it goes
# (PYTHONDONTWRITEBYTECODE), and then every start would compile it anew, twice as long.
PYTHONDONTWRITEBYTECODE='' .venv/bin/python -c '
import api.app, api.cli.ask, api.cli.run, api.cli.serve, api.server, worlds.learn.job
for name in api.server.SHARED:
    __import__(name)
' || echo "setup: the first start will be slower" >&2
touch "$stamp"
