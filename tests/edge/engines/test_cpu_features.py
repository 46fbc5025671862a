"""What the kernels can use here: from the kernel's own words, and nothing where there are none."""

import itertools
import struct

import pytest

from edge.engines.cpu_features import LEVELS, SKYLAKE, affinity, auxv_features, cpuinfo_flags, kernels_isa

EPYC = "processor\t: 0\nflags\t\t: fpu sse4_1 avx avx2 fma avx512f avx512_vnni\n\nprocessor\t: 1\nflags\t\t: fpu\n"


def test_the_first_processor_s_flags_count() -> None:
    assert cpuinfo_flags(EPYC) == {"fpu", "sse4_1", "avx", "avx2", "fma", "avx512f", "avx512_vnni"}
    assert cpuinfo_flags("Features\t: fp asimd\n") == frozenset()


def test_the_auxiliary_vector_tells_dotprod_and_i8mm() -> None:
    entries = [(6, 4096), (16, 1 << 1 | 1 << 20), (26, 1 << 13), (0, 0)]
    data = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    assert auxv_features(data) == {"asimd", "asimddp", "i8mm"}
    assert auxv_features(data[:20]) == frozenset()  # cut off inside the second entry


@pytest.mark.parametrize(
    ("family", "machine", "features", "expected"),
    [
        ("xnnpack", "x86_64", {*SKYLAKE, "avx2", "avx512_vnni"}, "avx512vnni"),
        ("xnnpack-2.14", "x86_64", {*SKYLAKE, "avx2", "avx512_vnni"}, "avx512skx"),
        ("xnnpack", "x86_64", {"avx512f", "avx512_vnni", "avx2"}, "avx2"),
        ("mlas", "aarch64", {"asimd", "asimddp"}, "dotprod"),
        ("mlas", "aarch64", {"asimd", "asimddp", "i8mm"}, "i8mm"),
        ("ruy", "aarch64", {"asimd"}, "neon"),
        ("ruy", "x86_64", {"avx2"}, None),
        ("xnnpack", "riscv64", {"asimd"}, None),
        ("xnnpack", "x86_64", set(), None),
        ("", "x86_64", {"avx2"}, None),
    ],
)
def test_the_widest_known_set_is_named(family: str, machine: str, features: set[str], expected: str | None) -> None:
    assert kernels_isa(family, machine=machine, features=frozenset(features)) == expected


def test_wider_sets_stand_first() -> None:
    for levels in LEVELS.values():
        for wider, narrower in itertools.pairwise(levels):
            assert not set(wider[1]) <= set(narrower[1])


def test_the_affinity_names_processors_of_this_machine() -> None:
    found = affinity()
    assert found is None or (len(found) > 0 and list(found) == sorted(set(found)))
