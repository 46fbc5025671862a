#!/bin/bash
# An aarch64 userland on an x86-64 machine, used as a Raspberry Pi: `tests/emulated_pi/build.sh FOLDER [PYTHON]`.
#
# FOLDER/python3 is then a Python 3.11 interpreter of an aarch64 machine with numpy, tflite-runtime, ai-edge-litert and
# onnxruntime: Debian 12's arm64 packages and the aarch64 wheels, run by qemu-user. Needs apt and pip (PYTHON's), no
# root, no binfmt, no chroot. Built once: a stamp holds the hash of this script and of the constraints.
#
# Real are the kernels' outputs; time is not: emulated milliseconds say nothing about a device.
#   QEMU_CPU        the emulated core (cortex-a72, a Pi 4's, unless set; cortex-a76 is a Pi 5's)
#   EDGE_QEMU       another qemu-aarch64, such as a dynamic one that takes plugins
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
retry=$here/../../.ci/retry
folder=$(realpath -m "${1:?usage: build.sh FOLDER [PYTHON]}")
python=${2:-python3}
stamp=$(cat "$0" "$here/constraints.txt" "$here/python3.sh" | sha256sum | cut -d ' ' -f 1)
suite=bookworm # has Python 3.11, the last one that tflite-runtime has wheels for

[ "$(cat "$folder/.ready" 2>/dev/null)" = "$stamp" ] && exit 0
for tool in apt-get dpkg dpkg-deb sha256sum; do
    command -v $tool >/dev/null || { echo "emulated pi: $tool is missing; it is built from Debian packages" >&2; exit 1; }
done
grep -rqsw "$suite" /etc/apt/sources.list /etc/apt/sources.list.d ||
    { echo "emulated pi: apt has no source of Debian 12 ($suite)" >&2; exit 1; }

new=$folder.new
rm -rf "$new"
mkdir -p "$new"/{qemu,rootfs,apt/lists/partial,apt/cache/archives/partial}
: > "$new/apt/status"

# apt with lists, status and cache of its own: no root, and nothing of the host's is changed.
host=$(dpkg --print-architecture)
apt=(apt-get -qq -o "APT::Architecture=arm64" -o "APT::Architectures::=arm64" -o "APT::Architectures::=$host"
    -o "Dir::State=$new/apt" -o "Dir::State::lists=$new/apt/lists" -o "Dir::State::status=$new/apt/status"
    -o "Dir::Cache=$new/apt/cache" -o APT::Install-Recommends=0 -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any
    -o Acquire::Retries=3 -o Acquire::Languages=none)
"$retry" "${apt[@]}" update
"$retry" "${apt[@]}" --yes --download-only install python3.11-minimal libpython3.11-stdlib libstdc++6 >/dev/null
unpack() { dpkg-deb --fsys-tarfile "$1" | tar -x --no-same-owner -C "$2" "${@:3}"; }
for package in "$new"/apt/cache/archives/*.deb; do unpack "$package" "$new/rootfs"; done
(cd "$new/qemu" && "$retry" "${apt[@]}" download "qemu-user-static:$host")
unpack "$new"/qemu/qemu-user-static_*.deb "$new/qemu" ./usr/bin/qemu-aarch64-static
mv "$new/qemu/usr/bin/qemu-aarch64-static" "$new/qemu/qemu-aarch64"
rm -rf "$new/apt" "$new/qemu/usr" "$new"/qemu/*.deb

platforms=(--platform manylinux2014_aarch64)
for version in 17 26 27 28 31 34; do platforms+=(--platform "manylinux_2_${version}_aarch64"); done
"$retry" "$python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --only-binary=:all: \
    --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none "${platforms[@]}" \
    --target "$new/rootfs/usr/local/lib/python3.11/dist-packages" --requirement "$here/constraints.txt"

# What runtimes read about the machine. Without /sys LiteRT silently drops XNNPACK; with an x86 /proc/cpuinfo ONNX
# Runtime crashes. qemu looks into the rootfs first. A Raspberry Pi 4 says:
machine=$new/rootfs
mkdir -p "$machine"/{proc/device-tree,sys/firmware/devicetree/base,sys/class/thermal/thermal_zone0}
for core in 0 1 2 3; do
    printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n' $core
    printf 'CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n'
    policy=$machine/sys/devices/system/cpu/cpu$core/cpufreq
    mkdir -p "$policy"
    echo ondemand > "$policy/scaling_governor"
    for limit in scaling_cur_freq scaling_max_freq cpuinfo_max_freq; do echo 1500000 > "$policy/$limit"; done
    for limit in scaling_min_freq cpuinfo_min_freq; do echo 600000 > "$policy/$limit"; done
done > "$machine/proc/cpuinfo"
printf 'Model\t\t: Raspberry Pi 4 Model B Rev 1.4 (emulated)\n' >> "$machine/proc/cpuinfo"
for file in possible present online; do echo 0-3 > "$machine/sys/devices/system/cpu/$file"; done
for file in proc/device-tree/model sys/firmware/devicetree/base/model; do
    printf 'Raspberry Pi 4 Model B Rev 1.4 (emulated)\0' > "$machine/$file"
done
echo cpu-thermal > "$machine/sys/class/thermal/thermal_zone0/type"
echo 45000 > "$machine/sys/class/thermal/thermal_zone0/temp"

install -m 755 "$here/python3.sh" "$new/python3"
"$new/python3" -c 'import numpy, tflite_runtime.interpreter, ai_edge_litert.interpreter, onnxruntime, platform, sys
told = platform.machine(), sys.version_info[:2]
sys.exit(None if told == ("aarch64", (3, 11)) else f"emulated pi: it says {told}")'
echo "$stamp" > "$new/.ready"
rm -rf "$folder"
mv "$new" "$folder"
