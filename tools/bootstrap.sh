#!/bin/sh
# Gives a fresh clone what `uv run bellwether` needs: uv itself and the checkout's environment.
# Everything else is the command's own work.
set -eu
cd "$(dirname -- "$0")/.."
version=$(sed -n 's/^UV = "\([^"]*\)".*/\1/p' infra/versions.py)
cache=${BELLWETHER_CACHE:-$HOME/.cache/bellwether}

if ! command -v uv >/dev/null 2>&1; then
    python=$(command -v python3.11 || command -v python3) ||
        { echo "missing: Python 3.11. Install it with 'apt-get install python3 python3-venv'." >&2; exit 1; }
    folder="$cache/tools/uv-$version"
    if [ ! -x "$folder/bin/uv" ]; then
        echo "… uv $version"
        "$python" -m venv "$folder" ||
            { echo "missing: Python's venv. Install it with 'apt-get install python3-venv'." >&2; exit 1; }
        "$folder/bin/pip" install --quiet --disable-pip-version-check "uv==$version"
    fi
    # `uv run bellwether …` is what people type, so uv goes where their shell finds it.
    for place in /usr/local/bin "$HOME/.local/bin"; do
        case ":$PATH:" in *":$place:"*) ;; *) continue ;; esac
        if mkdir -p "$place" 2>/dev/null && [ -w "$place" ]; then
            ln -sf "$folder/bin/uv" "$place/uv"
            break
        fi
    done
    command -v uv >/dev/null 2>&1 || echo "uv is at $folder/bin/uv: put that folder on your PATH" >&2
    PATH="$PATH:$folder/bin"
fi
export PATH
# Compiled, commands start in half the time, also where Python may not write bytecode itself.
uv sync --quiet --frozen --compile-bytecode
exec uv run --no-sync "$@"
