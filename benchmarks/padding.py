"""Padding to one length, as the scripts of 2022 did and a batch of mixed lengths needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantbench.protocols import Forward, Inputs, Session


@dataclass(frozen=True)
class Padded:
    """A session that pads what it is given to a length."""

    session: Session
    length: int

    def bind(self, inputs: Inputs) -> Forward:
        """Fix the inputs, padded."""
        return self.session.bind(padded(inputs, self.length))

    def verified_num_threads(self) -> int:
        """That of the session."""
        return self.session.verified_num_threads()

    def close(self) -> None:
        """Close the session."""
        self.session.close()


def padded(inputs: Inputs, length: int) -> Inputs:
    """The same inputs [1, n] with zeros up to a length: the mask says that they are not there."""
    (missing,) = {max(0, length - array.shape[1]) for array in inputs.values()}
    return {name: np.pad(array, ((0, 0), (0, missing))) for name, array in inputs.items()}
