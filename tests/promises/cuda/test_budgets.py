"""No method takes more launches, copies or waits than the table in docs/performance.md."""

import numpy as np
import pytest

from gpumc.messages.amp import Amp
from tests.promises.cuda.budgets import METHODS, budgets

pytestmark = [pytest.mark.gpu, pytest.mark.emulator, pytest.mark.filterwarnings("ignore")]


def test_the_table_has_every_method():
    assert list(budgets()) == [method.name for method in METHODS]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_nothing_costs_more_than_its_budget(method):
    found, budget = method.measured(), budgets()[method.name]
    assert found.within(budget), f"{found} for one {method.one}, the budget being {budget}"


def test_a_planted_copy_in_a_loop_is_seen(monkeypatch):
    original = Amp.step

    def faulty(self, fields, memory):
        self.graph.device.asarray(np.zeros(3))
        return original(self, fields, memory)

    monkeypatch.setattr(Amp, "step", faulty)
    method = next(method for method in METHODS if method.name == "AMP, perceptron")
    found, budget = method.measured(), budgets()[method.name]
    assert not found.within(budget)
    assert found.to_device == budget.to_device + 8
