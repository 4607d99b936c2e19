"""The machine is read, never guessed."""

from pathlib import Path

import pytest

from quantbench import environment
from quantbench.core.errors import UsageError

CPUINFO = """\
processor\t: 0
model name\t: Example CPU @ 2.00GHz
flags\t\t: fpu avx2 avx512f avx512_vnni
physical id\t: 0
core id\t\t: 0

processor\t: 1
model name\t: Example CPU @ 2.00GHz
flags\t\t: fpu avx2 avx512f avx512_vnni
physical id\t: 0
core id\t\t: 0
"""


def test_a_core_with_two_threads_counts_once() -> None:
    cpu = environment.read_cpu(CPUINFO)
    assert cpu.physical_cores == 1
    assert cpu.model == "Example CPU @ 2.00GHz"
    assert cpu.flags == ("avx2", "avx512_vnni", "avx512f", "fpu")


def test_without_cpuinfo_cores_are_counted_as_the_system_gives_them() -> None:
    cpu = environment.read_cpu("")
    assert cpu.physical_cores == cpu.logical_cores >= 1
    assert cpu.flags == ()


def test_instructions_that_are_missing_are_refused_by_name() -> None:
    environment.check_instructions(None, ())
    environment.check_instructions("avx512_vnni", ("avx2", "avx512_vnni"))
    with pytest.raises(UsageError, match="asks for amx, but this processor has no amx_int8"):
        environment.check_instructions("amx", ("avx2",))


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "2147483648\n"}, 2 * 2**30),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "1073741824\n"}, 2**30),
        ({}, None),
    ],
)
def test_the_memory_limit_of_a_container_is_read(
    tmp_path: Path, files: dict[str, str], limit: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert environment._memory_limit_bytes(tmp_path) == limit


def test_a_budget_that_is_too_small_for_two_workers_allows_no_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "_WORKER_BYTES", 1000)
    assert environment.has_memory_for(1999, 0)
    assert not environment.has_memory_for(1999, 1)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_limit_of_a_container_is_read(
    tmp_path: Path, files: dict[str, str], limit: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert environment._container_cpus(tmp_path) == limit


def test_accuracy_is_tied_to_the_vector_instructions_only() -> None:
    cpu = environment.read_cpu(CPUINFO)
    fingerprint = environment.accuracy_fingerprint(cpu)
    assert fingerprint["vector_flags"] == ["avx2", "avx512_vnni", "avx512f"]


def test_the_environment_names_the_versions_that_were_used() -> None:
    found = environment.read_environment(2)
    assert found.packages["quantbench"][0].isdigit()
    assert found.num_threads == 2


def test_no_more_processors_are_bound_than_threads() -> None:
    bound = environment.pinned_cpus(1)
    assert bound is None or len(bound) == 1
