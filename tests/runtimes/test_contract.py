"""What every runtime must do; the same tests for all of them."""

from collections.abc import Iterator

import numpy as np
import pytest

from quantbench.core.errors import QuantbenchError
from quantbench.protocols import Runtime, Session, SessionOptions
from quantbench.runtimes import ort, pytorch
from tiny_models import AUTO_CLASS, KINDS, Models, inputs

RUNTIMES = {"pytorch": pytorch.RUNTIME, "onnxruntime": ort.RUNTIME}


def open_model(name: str, kind: str, models: Models, num_threads: int = 1) -> Session:
    runtime: Runtime = RUNTIMES[name]
    path = models.directory(kind) if name == "pytorch" else models.exported(kind, 17)
    return runtime.open(path, SessionOptions(num_threads, 99, AUTO_CLASS[kind]))


@pytest.fixture(params=list(RUNTIMES))
def runtime_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def session(runtime_name: str, models: Models) -> Iterator[Session]:
    opened = open_model(runtime_name, "distilbert", models)
    yield opened
    opened.close()


def test_it_is_registered_under_its_name(runtime_name: str) -> None:
    assert RUNTIMES[runtime_name].name == runtime_name


def test_a_forward_returns_all_outputs_as_arrays_by_name(session: Session) -> None:
    outputs = session.bind(inputs("distilbert", 3, 7))()
    assert {name: (array.shape, array.dtype.name) for name, array in outputs.items()} == {
        "start_logits": ((3, 7), "float32"),
        "end_logits": ((3, 7), "float32"),
    }


def test_every_forward_gives_the_same_answer(session: Session) -> None:
    forward = session.bind(inputs("distilbert", 2, 9))
    first = {name: array.copy() for name, array in forward().items()}
    for name, array in forward().items():
        np.testing.assert_array_equal(array, first[name])


def test_inputs_are_copied_when_bound(session: Session) -> None:
    given = inputs("distilbert", 1, 9)
    forward = session.bind(given)
    first = {name: array.copy() for name, array in forward().items()}
    given["input_ids"][:] = 0
    for name, array in forward().items():
        np.testing.assert_array_equal(array, first[name])


def test_two_shapes_may_be_bound_at_once(session: Session) -> None:
    small, large = session.bind(inputs("distilbert", 1, 4)), session.bind(inputs("distilbert", 2))
    assert large()["start_logits"].shape == (2, 12)
    assert small()["start_logits"].shape == (1, 4)


def test_an_input_that_the_model_does_not_take_is_an_error(session: Session) -> None:
    given = {**inputs("distilbert"), "token_type_ids": np.zeros((1, 12), dtype=np.int64)}
    with pytest.raises(QuantbenchError, match="takes no input token_type_ids"):
        session.bind(given)


def test_a_missing_input_is_an_error(session: Session) -> None:
    mask = inputs("distilbert")["attention_mask"]
    with pytest.raises(QuantbenchError, match="needs input input_ids"):
        session.bind({"attention_mask": mask})


def test_float64_becomes_float32(runtime_name: str, models: Models) -> None:
    session = open_model(runtime_name, "vit", models)
    given = inputs("vit", 2)
    double = {name: array.astype(np.float64) for name, array in given.items()}
    for name, array in session.bind(double)().items():
        np.testing.assert_array_equal(array, session.bind(given)()[name])


@pytest.mark.parametrize("num_threads", [1, 2])
def test_the_thread_count_is_read_back(runtime_name: str, models: Models, num_threads: int) -> None:
    assert (
        open_model(runtime_name, "vit", models, num_threads).verified_num_threads() == num_threads
    )


def test_no_threads_are_refused(runtime_name: str, models: Models) -> None:
    with pytest.raises(QuantbenchError, match="at least 1, not 0"):
        open_model(runtime_name, "vit", models, 0)


def test_a_path_that_is_no_model_is_an_error(runtime_name: str, models: Models) -> None:
    options = SessionOptions(1, 0, AUTO_CLASS["vit"])
    with pytest.raises(QuantbenchError, match="nothing-here"):
        RUNTIMES[runtime_name].open(models.root / "nothing-here", options)


@pytest.mark.parametrize("kind", KINDS)
def test_all_runtimes_agree(models: Models, kind: str) -> None:
    given = inputs(kind, 2, 10)
    wanted, found = (open_model(name, kind, models).bind(given)() for name in RUNTIMES)
    assert list(found) == list(wanted)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-4)


def test_pytorch_keeps_the_default_attention(models: Models) -> None:
    model = pytorch.load_model(models.directory("distilbert"), AUTO_CLASS["distilbert"])
    assert model.config._attn_implementation == "sdpa"


def test_onnxruntime_refuses_an_unknown_level(models: Models) -> None:
    with pytest.raises(QuantbenchError, match="optimization level 3"):
        ort.RUNTIME.open(models.exported("vit", 17), SessionOptions(1, 3))


def test_a_closed_session_says_so(session: Session) -> None:
    session.close()
    with pytest.raises(QuantbenchError, match="closed"):
        session.bind(inputs("distilbert"))
