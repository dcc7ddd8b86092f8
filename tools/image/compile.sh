#!/bin/sh
# Compiles an image's own code, and leaves it readable for whoever the image runs as.
set -eu
python3.11 -m compileall -q --invalidation-mode unchecked-hash /opt/bellwether/code
chmod -R a+rX,go-w /opt/bellwether
