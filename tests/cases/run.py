"""Model files and fault reports against the command line, a row each: `python tests/cases/run.py`.

    python tests/cases/run.py [--inputs FOLDER] [--reports FOLDER] [--only TEXT]

Exit code 1 if a row is not right. Inputs that are neither kept here nor in --inputs are named.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def rows(inputs: Path, reports: Path, only: str) -> Iterator[tuple[str, str, str]]:
    """Name, `right`, `WRONG` or `no file`, and what was seen, of every case."""
    from tests.cases.inputs import input_file
    from tests.cases.model_files import CASES

    for name, case in CASES.items():
        if only not in name and only not in case.file:
            continue
        path = input_file(case.file, inputs)
        if path is None:
            yield f"{case.file}: {name}", "no file", f"not in {inputs}"
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                yield f"{case.file}: {name}", "right", case.try_it(path, Path(folder))
            except Exception as error:
                yield f"{case.file}: {name}", "WRONG", f"{type(error).__name__}: {error}"
    if reports.is_dir():
        yield from report_rows(reports, only)
    else:
        yield str(reports), "no file", "no such folder of reports"


def report_rows(reports: Path, only: str) -> Iterator[tuple[str, str, str]]:
    """The same of every script of a folder of reports."""
    from tests.cases.reports import REPORTS, run_script, working_folder

    with tempfile.TemporaryDirectory() as name:
        working_folder(reports, Path(name))
        for title, report in REPORTS.items():
            if only not in title and only not in report.script:
                continue
            printed = run_script(report, reports, Path(name))
            last = " | ".join(printed.strip().splitlines()[-3:])
            try:
                report.judge(printed)
                yield f"{report.script}: {title}", "right", last
            except (AssertionError, StopIteration, TypeError) as error:
                yield f"{report.script}: {title}", "WRONG", f"{error}; printed: {last}"


def main() -> None:
    """Print the rows."""
    beside = Path(os.environ.get("EDGE_TEST_DATA") or ROOT.parent / "shared" / "data").parent / "cases"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=Path, default=beside / "files")
    parser.add_argument("--reports", type=Path, default=beside / "reports")
    parser.add_argument("--only", default="")
    parser.add_argument("--width", type=int, default=160)
    given = parser.parse_args()
    ended = {"right": 0, "WRONG": 0, "no file": 0}
    for name, verdict, seen in rows(given.inputs, given.reports, given.only):
        ended[verdict] += 1
        print(f"{verdict:8} {name:58} {' '.join(seen.split())[: given.width]}", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in ended.items()))
    sys.exit(1 if ended["WRONG"] else 0)


if __name__ == "__main__":
    main()
