#!/bin/sh
# Installs one dependency group of uv.lock, compiled: environment.sh GROUP
set -eu
. /tools/certificates.sh
export UV_PROJECT_ENVIRONMENT=/opt/bellwether/environment
export UV_LINK_MODE=copy UV_NO_MANAGED_PYTHON=1 UV_PYTHON=/usr/bin/python3.11
# A layer's files may lose their times: bytecode that trusts them would be compiled again and again.
export PYC_INVALIDATION_MODE=UNCHECKED_HASH
/opt/uv/bin/uv sync --quiet --frozen --no-install-project --no-default-groups --only-group "$1" --compile-bytecode
# Packages' own tests: a sixth of the router's image, and nothing imports them.
cd /opt/bellwether/environment/lib/python3.11/site-packages
for package in dask gevent numba numpy pandas pyarrow scipy sklearn; do
    [ ! -d "$package" ] || find "$package" -type d -name tests -prune -exec rm -r {} +
done
