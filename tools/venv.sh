#!/bin/sh
# venv.sh PYTHON DIR: make a virtual environment, also where Debian left ensurepip out.
set -eu
"$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "deriva-watch needs Python 3.11 or newer; make PYTHON=/path/to/python3.11" >&2
    exit 2
}
if ! "$1" -m venv "$2" >/dev/null 2>&1; then
    rm -rf "$2"
    sh "$(dirname "$0")/packages.sh" :python3-venv
    "$1" -m venv "$2"
fi
"$2/bin/pip" install --quiet --upgrade pip
