"""Messages are one printable line, whatever the names in them hold."""

from edge.errors import LONGEST_LINE, one_line


def test_a_plain_message_stays_as_it_is() -> None:
    assert one_line("model.onnx: tensor 'größe' is 3×4") == "model.onnx: tensor 'größe' is 3×4"


def test_line_breaks_and_control_characters_do_not_reach_the_terminal() -> None:
    assert one_line("a\n b\t\x1b[31mred\x00") == "a b \\x1b[31mred\\x00"


def test_a_long_message_keeps_its_ends() -> None:
    line = one_line("start " + "x" * 100_000 + " end")
    assert len(line) < LONGEST_LINE + 40 and line.startswith("start ") and line.endswith(" end")
