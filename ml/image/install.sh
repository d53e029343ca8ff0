#!/bin/sh
# Install exactly the packages of a lock file into an environment: `sh install.sh LOCK [ENVIRONMENT]`. The image build
# runs it in its stage `build`. Packages without wheels are built with the packages of requirements/build.txt.
set -eu
lock="$1"
environment="${2:-/opt/jukebox}"
# Names, versions and markers without hashes: a wheel that is built here has another hash than its source.
grep '^[^ #]' "$lock" | tr -d '\\' > pins.txt
venv/bin/python -m pip wheel --quiet --require-hashes --no-deps --no-build-isolation --wheel-dir wheels -r "$lock"
venv/bin/python -m pip --python "$environment/bin/python" install --quiet --no-compile --no-deps --no-index \
  --find-links wheels -r pins.txt
venv/bin/python slim.py "$environment"
rm -r wheels
