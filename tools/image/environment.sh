#!/bin/sh
# Installs /source/requirements.txt, compiled, into the environment that an image has.
set -eu
. /tools/certificates.sh
export VIRTUAL_ENV=/opt/bellwether/environment UV_LINK_MODE=copy UV_NO_MANAGED_PYTHON=1
# A layer's files may lose their times: bytecode that trusts them would be compiled again and again.
export PYC_INVALIDATION_MODE=UNCHECKED_HASH
/opt/uv/bin/uv venv --quiet --python /usr/bin/python3.11 "$VIRTUAL_ENV"
/opt/uv/bin/uv pip sync --quiet --require-hashes --compile-bytecode /source/requirements.txt
# Packages' own tests: a tenth of the router's image, and nothing imports them.
cd "$VIRTUAL_ENV/lib/python3.11/site-packages"
for package in dask gevent numba numpy pandas pyarrow scipy sklearn; do
    [ ! -d "$package" ] || find "$package" -type d -name tests -prune -exec rm -r {} +
done
