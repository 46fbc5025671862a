"""Fields of another process's answers, each checked before it is believed."""

from collections.abc import Mapping
from typing import Any

from edge.engines.engine import EngineInfo
from edge.errors import EngineError
from edge.port import Port

MAX_TEXT = 4096
MAX_RANK = 8
COUNTS = ("operators", "delegated_operators")
TEXTS = ("delegate", "emulated", "package", "wheel_tag", "kernels_isa", "device", "precision")
MAX_PROCESSORS = 4096
MAX_OPTIONS = 256


def read_text(reply: Mapping[str, Any], name: str) -> str:
    """A text of at most 4096 characters. Refuses (EngineError) anything else; control characters become spaces."""
    value = reply.get(name)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise EngineError(f"an answer whose '{name}' is {str(value)[:80]!r}")
    return "".join(character if character.isprintable() else " " for character in value)


def read_texts(reply: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts."""
    value = reply.get(name)
    if not isinstance(value, list) or len(value) > MAX_RANK:
        raise EngineError(f"an answer whose '{name}' is {str(value)[:80]!r}")
    return tuple(read_text({name: entry}, name) for entry in value)


def read_count(reply: Mapping[str, Any], name: str) -> int:
    """An integer that is not negative."""
    value = reply.get(name)
    if type(value) is not int or value < 0:
        raise EngineError(f"an answer whose '{name}' is {str(value)[:80]!r}")
    return value


def read_info(reply: Mapping[str, Any]) -> EngineInfo:
    """What really runs, as another process says."""
    optional = {name: read_count(reply, name) for name in COUNTS if reply.get(name) is not None}
    texts = {name: read_text(reply, name) for name in TEXTS if reply.get(name) is not None}
    return EngineInfo(
        engine=read_text(reply, "engine"),
        version=read_text(reply, "version"),
        kernels=read_text(reply, "kernels"),
        delegate=texts.get("delegate"),
        operators=optional.get("operators"),
        delegated_operators=optional.get("delegated_operators"),
        threads=read_count(reply, "threads"),
        machine=read_text(reply, "machine"),
        emulated=texts.get("emulated"),
        package=texts.get("package"),
        wheel_tag=texts.get("wheel_tag"),
        kernels_isa=texts.get("kernels_isa"),
        affinity=_processors(reply.get("affinity")),
        provider_options=_options(reply.get("provider_options", {})),
        device=texts.get("device"),
        precision=texts.get("precision"),
    )


def _processors(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_PROCESSORS:
        raise EngineError(f"an answer whose 'affinity' is {str(value)[:80]!r}")
    return tuple(read_count({"affinity": number}, "affinity") for number in value)


def _options(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_OPTIONS:
        raise EngineError(f"an answer whose 'provider_options' is {str(value)[:80]!r}")
    checked = {read_text({"name": name}, "name"): text for name, text in value.items()}
    return {name: read_text({name: text}, name) for name, text in checked.items()}


def read_port(reply: Any) -> Port:
    """An input or output, as another process says."""
    if not isinstance(reply, dict) or not isinstance(reply.get("shape"), list) or len(reply["shape"]) > MAX_RANK:
        raise EngineError(f"an answer whose port is {str(reply)[:80]!r}")
    scale, zero_point = reply.get("scale"), reply.get("zero_point")
    if type(scale) not in (float, type(None)) or type(zero_point) not in (int, type(None)):
        raise EngineError(f"an answer whose port has scale {scale!r} and zero point {zero_point!r}")
    return Port(
        name=read_text(reply, "name"),
        shape=tuple(read_count({"shape": size}, "shape") for size in reply["shape"]),
        dtype=read_text(reply, "dtype"),
        scale=scale,
        zero_point=zero_point,
    )
