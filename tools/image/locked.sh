#!/bin/sh
# Writes the packages of one dependency group of uv.lock, with their digests: locked.sh GROUP
# In a stage of its own: what another group pins makes no layer anew but this one.
set -eu
cd /source
/opt/uv/bin/uv export --quiet --frozen --offline --no-managed-python --python /usr/bin/python3.11 \
    --no-emit-project --no-header --only-group "$1" --output-file requirements.txt
