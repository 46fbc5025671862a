#!/bin/bash
# An aarch64 userland on an x86-64 machine, used as a Raspberry Pi: build.sh FOLDER [PYTHON [SUITE]].
#
# FOLDER/python3 is then a Python interpreter of an aarch64 machine with numpy and the runtimes: Debian's arm64 packages
# and the aarch64 wheels, run by qemu-user; FOLDER/sh is a shell there; FOLDER/qemu/plugin counts instructions. Needs the
# apt of Debian 12, pip (PYTHON's) and a C compiler; no root, no binfmt, no chroot. Built once: a stamp holds the hash of
# the files it is built from.
#
# SUITE: bookworm (Python 3.11, the default) or trixie (Python 3.13), as the releases of Raspberry Pi OS are called.
#
# Real are the kernels' outputs; time is not: emulated milliseconds say nothing about a device.
#   QEMU_CPU        the emulated core (cortex-a72, a Pi 4's, unless set; cortex-a76 is a Pi 5's)
#   EDGE_QEMU       another qemu-aarch64
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=$(realpath -m "${1:?usage: build.sh FOLDER [PYTHON [SUITE]]}")
python=${2:-python3}
suite=${3:-bookworm}
compiler=${CC:-cc}
fail() { echo "emulated arm64: $*" >&2; exit 1; }

case $suite in
    bookworm) version=3.11 runtimes="tflite_runtime.interpreter, ai_edge_litert.interpreter, onnxruntime" ;;
    trixie) version=3.13 runtimes="ai_edge_litert.interpreter, onnxruntime" ;;
    *) fail "suite '$suite' is unknown; bookworm or trixie" ;;
esac
stamp=$(cat "$0" "$here/constraints-$suite.txt" "$here"/*.sh "$here/instructions.c" | sha256sum | cut -d ' ' -f 1)
mkdir -p "$(dirname "$folder")"
exec 9> "$folder.lock" # who comes second finds it built
flock 9
[ "$(cat "$folder/.ready" 2>/dev/null)" = "$stamp $suite" ] && exit 0
for tool in apt-get dpkg dpkg-deb sha256sum "$compiler"; do
    command -v "$tool" >/dev/null || fail "$tool is missing; it is built from Debian packages and one C file"
done
[ ! -e "$folder" ] || [ -e "$folder/.ready" ] || fail "$folder exists and is none; choose another folder"
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | sort -u | head -n 1)
[ -n "$archive" ] || fail "apt has no source of Debian 12 (bookworm)"

new=$folder.new
rm -rf "$new"
mkdir -p "$new"/{qemu/plugin/lib,rootfs,host}
retry() { # an index or a mirror fails now and then
    for pause in 5 15 45; do
        "$@" && return 0
        echo "retry in $pause s: $*" >&2
        sleep "$pause"
    done
    "$@"
}
# apt with sources, lists, status and cache of its own: no root, and nothing of the host's is changed.
fetch() { # fetch FOLDER ARCHITECTURE SUITE PACKAGE...: the packages with all they need, as .deb files
    local state=$new/apt-$2 options
    mkdir -p "$state"/{lists/partial,cache/archives/partial}
    : > "$state/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $3 main" > "$state/sources.list"
    options=(-qq -o "APT::Architecture=$2" -o "APT::Architectures::=$2" -o "Dir::Etc::SourceList=$state/sources.list"
        -o Dir::Etc::SourceParts=/dev/null -o "Dir::State=$state" -o "Dir::State::lists=$state/lists"
        -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache" -o APT::Install-Recommends=0
        -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any -o Acquire::Retries=3 -o Acquire::Languages=none)
    retry apt-get "${options[@]}" update
    retry apt-get "${options[@]}" --yes --download-only install "${@:4}" >/dev/null
    mv "$state"/cache/archives/*.deb "$1"
    rm -rf "$state"
}
unpack() { dpkg-deb --fsys-tarfile "$1" | tar -x --no-same-owner --keep-directory-symlink -C "$2" "${@:3}"; }

wheels() {
    local platforms=(--platform manylinux2014_aarch64) glibc
    for glibc in 17 26 27 28 31 34; do platforms+=(--platform "manylinux_2_${glibc}_aarch64"); done
    retry "$python" -I -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --only-binary=:all: \
        --python-version "$version" --implementation cp --abi "cp${version/./}" --abi abi3 --abi none "${platforms[@]}" \
        --target "$new/wheels" --requirement "$here/constraints-$suite.txt"
}
wheels & # while apt is at work
wheels_process=$!

mkdir "$new/arm64"
if [ "$suite" = trixie ]; then # whose packages hold nothing outside /usr
    for top in bin lib sbin; do mkdir -p "$new/rootfs/usr/$top" && ln -s "usr/$top" "$new/rootfs/$top"; done
fi
fetch "$new/arm64" arm64 "$suite" python3-minimal "libpython$version-stdlib" libstdc++6 dash coreutils sed grep findutils
for package in "$new"/arm64/*.deb; do unpack "$package" "$new/rootfs"; done
fetch "$new/host" "$(dpkg --print-architecture)" bookworm qemu-user qemu-user-static proot
mkdir "$new/host/all"
for package in "$new"/host/*.deb; do
    case ${package##*/} in
        qemu-user-static_*) unpack "$package" "$new/qemu" --strip-components=3 ./usr/bin/qemu-aarch64-static ;;
        qemu-user_*) unpack "$package" "$new/qemu/plugin" --strip-components=3 ./usr/bin/qemu-aarch64 ;;
        proot_*) unpack "$package" "$new/qemu" --strip-components=3 ./usr/bin/proot ;;
        libc6_*) ;; # the host's own
        lib* | zlib*) unpack "$package" "$new/host/all" ;;
    esac
done
mv "$new/qemu/qemu-aarch64-static" "$new/qemu/qemu-aarch64"
find "$new/host/all" -name '*.so*' ! -type d -exec mv -t "$new/qemu/plugin/lib" {} +
rm -rf "$new/host" "$new/arm64"
"$compiler" -O2 -shared -fPIC -fvisibility=hidden -Wall -Wextra -o "$new/qemu/plugin/instructions.so" "$here/instructions.c"

# What runtimes read about the machine. Without /sys LiteRT silently drops XNNPACK; with an x86 /proc/cpuinfo ONNX
# Runtime crashes. qemu looks into its -L folder first. One folder per core, as the Raspberry Pi with that core says.
machine() { # machine FOLDER MODEL VARIANT PART REVISION LEAST_KHZ MOST_KHZ FEATURES
    local root=$1 core policy file limit
    mkdir -p "$root"/{proc/device-tree,sys/firmware/devicetree/base,sys/class/thermal/thermal_zone0}
    for core in 0 1 2 3; do
        printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: %s\nCPU implementer\t: 0x41\n' $core "$8"
        printf 'CPU architecture: 8\nCPU variant\t: %s\nCPU part\t: %s\nCPU revision\t: %s\n\n' "$3" "$4" "$5"
        policy=$root/sys/devices/system/cpu/cpu$core/cpufreq
        mkdir -p "$policy"
        echo ondemand > "$policy/scaling_governor"
        for limit in scaling_cur_freq scaling_max_freq cpuinfo_max_freq; do echo "$7" > "$policy/$limit"; done
        for limit in scaling_min_freq cpuinfo_min_freq; do echo "$6" > "$policy/$limit"; done
    done > "$root/proc/cpuinfo"
    printf 'Model\t\t: %s (emulated)\n' "$2" >> "$root/proc/cpuinfo"
    for file in possible present online; do echo 0-3 > "$root/sys/devices/system/cpu/$file"; done
    for file in proc/device-tree/model sys/firmware/devicetree/base/model; do
        printf '%s (emulated)\0' "$2" > "$root/$file"
    done
    echo cpu-thermal > "$root/sys/class/thermal/thermal_zone0/type"
    echo 45000 > "$root/sys/class/thermal/thermal_zone0/temp"
}
core_folder() { # core_folder CORE ARGUMENTS_OF_MACHINE: the rootfs with another machine's files
    local root=$new/cpus/$1 entry
    mkdir -p "$root"
    for entry in "$new"/rootfs/*; do
        case ${entry##*/} in proc | sys) ;; *) ln -s "../../rootfs/${entry##*/}" "$root/" ;; esac
    done
    machine "$root" "${@:2}"
}
v8="fp asimd evtstrm crc32 cpuid"
v82="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
mkdir -p "$new"/rootfs/{dev,tmp,proc,sys}
core_folder cortex-a53 "Raspberry Pi 3 Model B Plus Rev 1.3" 0x0 0xd03 4 600000 1400000 "$v8"
core_folder cortex-a72 "Raspberry Pi 4 Model B Rev 1.4" 0x0 0xd08 3 600000 1500000 "$v8"
core_folder cortex-a76 "Raspberry Pi 5 Model B Rev 1.0" 0x4 0xd0b 1 1500000 2400000 "$v82"
cp -r "$new"/cpus/cortex-a72/{proc,sys} "$new/rootfs/"

wait "$wheels_process" || fail "the aarch64 wheels of constraints-$suite.txt cannot be had"
packages=$new/rootfs/usr/local/lib/python$version
mkdir -p "$packages"
mv "$new/wheels" "$packages/dist-packages"
ln -sf dash "$new/rootfs/bin/sh"
install -m 755 "$here/python3.sh" "$new/python3"
install -m 755 "$here/sh.sh" "$new/sh"
"$new/python3" -I -c "import numpy, $runtimes, platform, sys
told = platform.machine(), '.'.join(map(str, sys.version_info[:2]))
sys.exit(None if told == ('aarch64', '$version') else f'emulated arm64: it says {told}')"
echo "$stamp $suite" > "$new/.ready"
rm -rf "$folder"
mv "$new" "$folder"
