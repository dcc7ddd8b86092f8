#!/bin/sh
# Gives the build stages uv, in the version that /tools/version says.
set -eu
/tools/debian.sh python3.11 python3.11-venv ca-certificates
. /tools/certificates.sh
python3.11 -m venv /opt/uv
/opt/uv/bin/pip install --quiet --disable-pip-version-check --no-cache-dir "uv==$(cat /tools/version)"
