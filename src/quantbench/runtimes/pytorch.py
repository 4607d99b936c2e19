"""PyTorch eager on the CPU: opens a model directory in transformers layout."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.protocols import Forward, Inputs, Outputs, SessionOptions
from quantbench.runtimes.inputs import check_names

if TYPE_CHECKING:
    import torch


class PyTorch:
    """The runtime; see `quantbench.protocols.Runtime`."""

    name = "pytorch"

    def open(self, path: Path, options: SessionOptions) -> PyTorchSession:
        """Open a model directory with the library's default attention, in float32.

        The thread count is set for the whole process: PyTorch has one pool. Its second pool (for
        independent operators) is not used by eager execution; it is set to 1 as long as PyTorch
        still allows that.

        Raises:
            QuantbenchError: the directory cannot be opened, or lacks weights of the model.
            UsageError: `options.auto_class` is missing or no auto class of transformers.
        """
        import torch

        if options.auto_class is None:
            raise UsageError("opening a PyTorch model needs the name of an auto class")
        if options.num_threads < 1:
            raise QuantbenchError(f"num_threads must be at least 1, not {options.num_threads}")
        torch.set_num_threads(options.num_threads)
        if torch.get_num_interop_threads() != 1:
            try:
                torch.set_num_interop_threads(1)
            except RuntimeError as error:
                # Only once per process, and only before that pool has started; see above.
                if "cannot set number of interop threads" not in str(error):
                    raise
        return PyTorchSession(load_model(path, options.auto_class))

    def preload(self, path: Path, options: SessionOptions) -> None:
        """Import PyTorch and the model's own module; see `quantbench.protocols.Preloading`.

        The model is built without memory ("meta"), so nothing is computed and no thread started.

        Raises:
            QuantbenchError: the directory has no configuration that transformers knows.
        """
        import torch
        import transformers

        try:
            config = transformers.AutoConfig.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
            with torch.device("meta"):
                getattr(transformers, str(options.auto_class)).from_config(config)
        except (OSError, ValueError, AttributeError) as error:
            raise QuantbenchError(f"transformers cannot open {path}: {error}") from error


class PyTorchSession:
    """An open model; see `quantbench.protocols.Session`."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model: torch.nn.Module | None = model

    def bind(self, inputs: Inputs) -> Forward:
        """Fix the inputs; each call of the result is one forward under `inference_mode`.

        Arrays become tensors here, once (float64 as float32, like the weights). Inputs that the
        model's `forward` does not name are refused. Outputs are the tensors among the fields of
        the model's output, as arrays that share their memory.

        Raises:
            QuantbenchError: the model does not take these inputs.
        """
        import torch

        model = self._model
        if model is None:
            raise QuantbenchError("the session is closed")
        # Everything is optional to `forward`; `main_input_name` alone cannot be done without.
        check_names(
            inputs, inspect.signature(model.forward).parameters, {str(model.main_input_name)}
        )
        tensors = {}
        for name, array in inputs.items():
            dtype = np.float32 if array.dtype == np.float64 else array.dtype
            tensors[name] = torch.from_numpy(np.array(array, dtype=dtype, order="C"))

        def forward() -> Outputs:
            with torch.inference_mode():
                output = model(**tensors)
            return {
                name: value.numpy()
                for name, value in output.items()
                if isinstance(value, torch.Tensor)
            }

        return forward

    def verified_num_threads(self) -> int:
        """The size of PyTorch's pool, as PyTorch reports it."""
        import torch

        return int(torch.get_num_threads())

    def close(self) -> None:
        """Free the model. Forwards that were bound before keep it alive."""
        self._model = None


def load_model(path: Path, auto_class: str, *, attention: str | None = None) -> torch.nn.Module:
    """A transformers model from a local directory: float32, eval mode.

    Args:
        path: directory with config.json and weights: safetensors if there are any, else `.bin`,
            of which nothing but tensors is read.
        auto_class: a class of transformers such as AutoModelForQuestionAnswering.
        attention: `attn_implementation`; the library's default when None.

    Raises:
        QuantbenchError: the directory cannot be opened, or lacks weights of the model.
        UsageError: there is no such auto class.
    """
    import torch
    import transformers
    from safetensors import SafetensorError

    if not auto_class.startswith("AutoModel") or not hasattr(transformers, auto_class):
        raise UsageError(f"transformers has no auto class {auto_class!r}")
    if not path.is_dir():
        raise QuantbenchError(f"{path} is not a model directory")
    chosen = {} if attention is None else {"attn_implementation": attention}
    shows_progress = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        model, loading = getattr(transformers, auto_class).from_pretrained(
            path,
            local_files_only=True,
            weights_only=True,
            trust_remote_code=False,
            # Version 5 takes the dtype of the file by default.
            dtype=torch.float32,
            output_loading_info=True,
            **chosen,
        )
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        raise QuantbenchError(f"transformers cannot open {path}: {error}") from error
    except (SafetensorError, pickle.UnpicklingError) as error:
        raise QuantbenchError(
            f"the weights in {path} are damaged, or hold more than tensors: {error}",
            hint="Download the model again.",
        ) from error
    finally:
        if shows_progress:
            transformers.utils.logging.enable_progress_bar()
    missing = sorted(loading["missing_keys"])
    if missing:
        # They would be random: another model on every load.
        raise QuantbenchError(
            f"{path} has no weights for {', '.join(missing[:4])}"
            f"{' and more' if len(missing) > 4 else ''}",
            hint=f"The model was not trained for this task ({auto_class}).",
        )
    opened: torch.nn.Module = model.eval()
    return opened


RUNTIME = PyTorch()
