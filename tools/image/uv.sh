#!/bin/sh
# Gives the build stage uv, in the version of infra/versions.py: uv.sh VERSIONS_PY
set -eu
/tools/debian.sh python3.11 python3.11-venv ca-certificates
. /tools/certificates.sh
version=$(sed -n 's/^UV = "\([^"]*\)".*/\1/p' "$1")
python3.11 -m venv /opt/uv
/opt/uv/bin/pip install --quiet --disable-pip-version-check --no-cache-dir "uv==$version"
