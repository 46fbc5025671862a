"""What nvidia-smi says of a GPU, read from recorded text."""

from collections.abc import Sequence

from edge.engines.nvidia_smi import QUERY, gpu_name, parse_gpus, read_gpus

# Two rows in the form of `nvidia-smi --query-gpu=... --format=csv,noheader,nounits`.
T4 = "0, Tesla T4, 535.183.01, P0, 1590, 5000, 1590, 61, 68.12, 70.00, 97, 0x0000000000000004\n"
LAPTOP = "1, NVIDIA GeForce MX450, 550.54.14, P8, 300, 405, 2000, 43, [N/A], [Not Supported], 0, 0x0000000000000001\n"


def test_every_column_is_read() -> None:
    (gpu,) = parse_gpus(T4)
    assert (gpu.index, gpu.name, gpu.driver, gpu.performance_state) == (0, "Tesla T4", "535.183.01", "P0")
    assert (gpu.sm_mhz, gpu.memory_mhz, gpu.max_sm_mhz, gpu.temperature_c) == (1590, 5000, 1590, 61)
    assert (gpu.power_w, gpu.power_limit_w, gpu.busy_percent, gpu.throttle_reasons) == (68.12, 70.0, 97, 4)


def test_what_the_driver_does_not_say_is_unknown() -> None:
    gpu = parse_gpus(T4 + LAPTOP)[1]
    assert (gpu.power_w, gpu.power_limit_w) == (None, None)
    assert gpu.temperature_c == 43


def test_other_text_is_no_gpu() -> None:
    assert parse_gpus("No devices were found\n") == ()
    assert parse_gpus(T4.replace(", P0", "")) == ()
    assert parse_gpus("") == ()


def test_the_program_is_asked_and_never_told_to_set_anything() -> None:
    asked: list[str] = []

    def reply(arguments: Sequence[str]) -> str:
        asked.extend(arguments)
        return T4

    assert len(read_gpus(reply)) == 1
    assert asked == [f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    assert read_gpus(lambda arguments: None) == ()


def test_a_name_is_known_only_where_all_bear_it() -> None:
    assert gpu_name(parse_gpus(T4 + T4.replace("0,", "1,", 1))) == "Tesla T4"
    assert gpu_name(parse_gpus(T4 + LAPTOP)) is None
    assert gpu_name(()) is None
