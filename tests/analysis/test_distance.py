"""How far outputs are apart: equal to scipy's divergence, whatever was rounded or left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from quantbench.analysis.distance import kl_divergence_nats, logit_rms
from quantbench.core.errors import QuantbenchError
from quantbench.core.results import Evaluation, Prediction
from quantbench.tasks.kept_logits import kept_log_probabilities, kept_logits


def evaluation(*predictions: Prediction) -> Evaluation:
    return Evaluation.model_construct(predictions=predictions)


def one_class(*logits: Any) -> Evaluation:
    """Each argument holds the logits of one sample: [words, classes]."""
    return evaluation(
        *(Prediction(answer=0, log_probabilities=kept_log_probabilities(each)) for each in logits)
    )


def several(*logits: Any) -> Evaluation:
    return evaluation(*(Prediction(answer=0, logits=kept_logits(each)) for each in logits))


def test_the_divergence_is_scipys_mean_over_all_words() -> None:
    rng = np.random.default_rng(0)
    before = [rng.normal(0, 3, (words, 7)) for words in (1, 4, 11)]
    after = [array + rng.normal(0, 0.3, array.shape) for array in before]
    probabilities = (special.softmax(np.concatenate(each), axis=1) for each in (before, after))
    wanted = stats.entropy(*probabilities, axis=1).mean()
    assert wanted > 0.01
    assert kl_divergence_nats(one_class(*before), one_class(*after)) == pytest.approx(
        wanted, abs=1e-5
    )


def test_rounding_alone_is_no_distance() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (500, 7))
    shifted = logits + np.linspace(-4, 4, 500)[:, None]  # the same probabilities
    found = kl_divergence_nats(one_class(logits), one_class(shifted + 1e-6))
    assert found == pytest.approx(0.0, abs=1e-8)
    assert kl_divergence_nats(one_class(logits), one_class(logits)) == 0.0


def test_the_divergence_is_from_the_original_and_finite_where_a_class_is_nearly_impossible() -> (
    None
):
    sure, unsure = [[40.0, -40.0]], [[0.0, 0.0]]
    assert kl_divergence_nats(one_class(sure), one_class(unsure)) == pytest.approx(np.log(2))
    assert kl_divergence_nats(one_class(unsure), one_class(sure)) == pytest.approx(
        40 - np.log(2), abs=1e-3
    )


def test_other_logits_are_apart_by_the_root_of_the_mean_square() -> None:
    before, after = several([1.0, 2.0], [3.0, -4.0]), several([1.0, 2.0], [0.0, -8.0])
    assert logit_rms(before, after) == pytest.approx(2.5)
    assert kl_divergence_nats(before, after) is None
    assert logit_rms(one_class([[0.0, 1.0]]), one_class([[0.0, 1.0]])) is None


def test_samples_that_one_of_both_did_not_keep_are_left_out() -> None:
    infinite = [[np.inf, 0.0]]
    before = one_class([[0.0, 0.0]], [[0.0, 0.0]])
    assert kl_divergence_nats(before, one_class([[0.0, 0.0]], infinite)) == 0.0
    assert kl_divergence_nats(before, one_class(infinite, infinite)) is None
    assert logit_rms(several([1.0], [np.inf]), several([2.0], [0.0])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "after", [one_class([[0.0, 0.0, 0.0]]), one_class([[0.0, 0.0], [0.0, 0.0]])]
)
def test_other_classes_or_words_are_refused(after: Evaluation) -> None:
    with pytest.raises(QuantbenchError, match="not of the same classes and words"):
        kl_divergence_nats(one_class([[0.0, 0.0]]), after)
