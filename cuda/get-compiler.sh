#!/usr/bin/env bash
# Fetches the CUDA 12.4 compiler from Debian's own packages without installing them: 90 MB down, 160 MB on disk, once for a user. Prints the
# folder of nvcc. Where that is impossible it says why on standard error and exits with 1; then install CUDA 12 by the means of your system,
# and put nvcc on PATH or set CUDA_PATH.
set -euo pipefail

cannot() {
  echo "The CUDA compiler was not fetched: $1." >&2
  exit 1
}

cache=${XDG_CACHE_HOME:-${HOME:?is needed to find the cache}/.cache}/trainer
home=$cache/cuda-12.4   # Ptx.targets looks there too
if [ -x "$home/bin/nvcc" ]; then
  echo "$home/bin"
  exit
fi

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || cannot "the packages are for Linux on x86-64, this is $(uname -s) on $(uname -m)"
for tool in apt-get apt-config dpkg-deb tar curl sha256sum flock; do
  command -v "$tool" >/dev/null || cannot "there is no $tool"
done

# Two at once take turns. Whoever dies leaves a folder behind that only the next one, alone under the lock, removes.
mkdir -p "$cache"
exec 9>"$cache/cuda-12.4.lock"
flock 9
if [ -x "$home/bin/nvcc" ]; then
  echo "$home/bin"
  exit
fi
rm -rf "$cache"/cuda-12.4.new.*
new=$(mktemp -d "$cache/cuda-12.4.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
mkdir "$new"/{download,unpacked,bin,include,nvvm}

# The mirrors and the proxy that apt uses here. Not every one of them carries all of Debian.
mirrors=$(apt-get indextargets --no-release-info --format '$(SITE)' 2>/dev/null | grep -E '^https?://' | sort -u || true)
[ -n "$mirrors" ] || cannot "apt has no mirror that is reached by http"
eval "$(apt-config shell http_proxy_of_apt Acquire::http::Proxy https_proxy_of_apt Acquire::https::Proxy)"
[ "${http_proxy_of_apt:-DIRECT}" = DIRECT ] || export http_proxy=$http_proxy_of_apt
[ "${https_proxy_of_apt:-DIRECT}" = DIRECT ] || export https_proxy=$https_proxy_of_apt

# get PATH SHA256 [BYTES]: a file of the pool, or its first BYTES, checked against its digest.
get() {
  local name=${1##*/} mirror range=()
  [ -z "${3:-}" ] || range=(--range "0-$(($3 - 1))")
  for mirror in $mirrors; do
    # A server that ignores the range would send everything: cut off, and so curl may complain. The digest decides.
    curl --silent --fail --location --retry 2 --connect-timeout 20 --speed-limit 1000 --speed-time 60 "${range[@]}" "${mirror%/}/pool/$1" 2>/dev/null \
      | head -c "${3:-500000000}" >"$new/download/$name" || true
    if echo "$2  $new/download/$name" | sha256sum --check --status; then
      return
    fi
  done
  cannot "no mirror of apt ($(echo $mirrors)) has pool/$1 as it is expected"
}

cuda=non-free/n/nvidia-cuda-toolkit
get "$cuda/nvidia-cuda-toolkit_12.4.131~12.4.1-2_amd64.deb" cd5fe85aee38d108b315f408a688641478f2402622a10c677478eb7a6c4e5319
get main/c/cccl/libcu++-dev_2.3.2-2_all.deb 30e911c1909265591b5ea793df0e49e56bed631238b68b3e75c97590c4985686
# The headers lie in the first 1.2 MB of this package's 934.
get "$cuda/nvidia-cuda-dev_12.4.127~12.4.1-2_amd64.deb" 5c85de97274857bec20b326c38c424990b8365d4bff54ff3bbb8f516562cffa6 1500000

dpkg-deb --extract "$new"/download/nvidia-cuda-toolkit_* "$new/unpacked"
dpkg-deb --extract "$new"/download/libcu++-dev_* "$new/unpacked"
# Both programs complain that the package ends early; the headers before its end are whole, and vector_types.h is the last of them.
{ dpkg-deb --fsys-tarfile "$new"/download/nvidia-cuda-dev_* | tar --extract --directory "$new/unpacked" --wildcards './usr/include/*'; } 2>/dev/null || true

from=$new/unpacked/usr
mv "$from"/lib/nvidia-cuda-toolkit/bin/{nvcc,cicc} "$from"/bin/{ptxas,cuobjdump,nvdisasm} "$new/bin/"
mv "$from/lib/nvidia-cuda-toolkit/libdevice" "$new/nvvm/"
mv "$from/include" "$new/"
# Debian's own profile has absolute paths; this one is relative to nvcc.
cat >"$new/bin/nvcc.profile" <<'PROFILE'
TOP = $(_HERE_)/..
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
PATH += $(_HERE_):
INCLUDES += "-I$(TOP)/include" $(_SPACE_)
PROFILE
for file in bin/ptxas nvvm/libdevice/libdevice.10.bc include/cuda.h include/cuda_bf16.h include/nv/target include/vector_types.h; do
  [ -s "$new/$file" ] || cannot "the packages were unpacked, but $file is missing"
done
"$new/bin/nvcc" --version >/dev/null && "$new/bin/ptxas" --version >/dev/null || cannot "it does not run on this machine"

rm -rf "$new/download" "$new/unpacked"
chmod 755 "$new"
rm -rf "$home"
mv "$new" "$home"
echo "$home/bin"
