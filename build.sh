#!/usr/bin/env bash
# Builds, tests and publishes: ./build.sh --target=Test. The targets are in build.cake; all arguments are passed on to it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1

if ! command -v dotnet >/dev/null && [ -x "$HOME/.dotnet/dotnet" ]; then
  export DOTNET_ROOT="$HOME/.dotnet" PATH="$HOME/.dotnet:$PATH"
fi
# Asked outside the repository: inside, global.json makes dotnet itself fail with a page of text.
if ! (cd / && dotnet --list-sdks 2>/dev/null) | grep -q '^10\.'; then
  echo "The .NET 10 SDK is needed and was not found on PATH or in ~/.dotnet." >&2
  echo "Install it from https://dotnet.microsoft.com/download/dotnet/10.0 and run this again." >&2
  exit 1
fi

# The native parts are optional: without a C++ compiler their tests are skipped and everything else works.
missing=()
command -v cmake >/dev/null || missing+=(cmake)
command -v g++ >/dev/null || missing+=(g++)
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  # With no command the test would succeed for root, so ask for a harmless one.
  if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null \
    && "${as_root[@]}" apt-get update -qq >&2 \
    && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2; then
    echo "Installed ${missing[*]}." >&2
  else
    echo "Could not install ${missing[*]}; the native parts are left out. As root: apt-get install ${missing[*]}" >&2
  fi
fi

dotnet tool restore --verbosity quiet
exec dotnet cake build.cake "$@"
