#!/usr/bin/env bash
# Make the peers' virtual environments: benchmarks/environments.sh [DIR]
# PYTHON (3.11 or newer) and PYTHON310, which learn2learn's sources need, name the interpreters.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=${1:-$here/environments}

environment() { # NAME PYTHON
    "$2" -m venv "$directory/$1"
    "$directory/$1/bin/pip" install --quiet --requirement "$here/peers/requirements-$1.txt"
}

environment torch "${PYTHON:-python3}"
environment jax "${PYTHON:-python3}"
environment learn2learn "${PYTHON310:-python3.10}"
# Its MAML needs nothing but torch of what it requires.
"$directory/learn2learn/bin/pip" install --quiet --no-deps --no-build-isolation learn2learn==0.2.0
