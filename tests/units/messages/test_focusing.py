"""Focusing belief propagation: its protocols, what it returns, and that it solves."""

import warnings

import numpy as np
import pytest

import gpumc
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.messages.amp import Amp
from gpumc.messages.constraints import Constraints
from gpumc.messages.converge import Messages, converge
from gpumc.messages.graph import Graph
from gpumc.messages.likelihoods import channel
from gpumc.messages.priors import Pull, Replicas, log_cosh2

SMALL = gpumc.FullCommittee(21, 5)
PROTOCOLS = [
    gpumc.StandardReinforcement(),
    gpumc.Scoping(replicas=11),
    gpumc.PseudoReinforcement(),
    gpumc.FreeScoping([(3 + 0.2 * step, 0.1 * step) for step in range(1, 40)]),
]


def test_steps_are_those_of_the_literature():
    replicas, couplings = zip(*gpumc.StandardReinforcement([0, 0.5, 0.9]).steps(), strict=True)
    assert replicas == pytest.approx((1, 2, 10))
    assert couplings == (np.inf,) * 3
    assert gpumc.Scoping([0.1, 0.2], 5).steps() == [(5, 0.1), (5, 0.2)]
    (y, coupling), (z, other) = gpumc.PseudoReinforcement([0.25, 0.36], x=0.5).steps()
    assert (y, coupling) == pytest.approx((1 + 1 / 0.75, np.arctanh(0.5)))
    assert (z, other) == pytest.approx((1 + 1 / 0.64, np.arctanh(0.6)))
    (y, coupling), (z, other) = gpumc.PseudoReinforcement([0.0, 0.5], x=0.25).steps()
    assert (y, coupling) == (1, 0)
    assert (z, other) == pytest.approx((1 + 0.5**0.5 / 0.5, np.arctanh(0.5**0.25)))


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: type(p).__name__)
def test_a_small_full_committee_is_solved(protocol):
    patterns = gpumc.random_patterns(SMALL, 0.1, 20, seed=5)
    found = gpumc.focusing_bp(SMALL, patterns, protocol=protocol, starts=3, device="numpy")
    assert found.solved.any("start").all()
    assert found.solved.mean() >= 0.9
    for i in range(20):
        stabilities = SMALL.stabilities(found.weights.values[i], patterns.xi[i], patterns.labels[i])
        assert np.array_equal((stabilities < 0).sum(axis=1), found.errors[i])


@pytest.mark.parametrize("machine", [gpumc.Perceptron(501), gpumc.TreeCommittee(495, 5)], ids=str)
def test_errors_and_fractions_solved(machine):
    patterns = gpumc.random_patterns(machine, 0.5, 5, seed=1)
    found = gpumc.focusing_bp(machine, patterns, starts=2, device="numpy")
    assert found.solved.mean() >= 0.9
    for i in range(5):
        stabilities = machine.stabilities(found.weights.values[i], patterns.xi[i], patterns.labels[i])
        assert np.array_equal((stabilities < 0).sum(axis=1), found.errors[i])
    assert np.array_equal(found.solved, found.errors == 0)


@pytest.mark.long
def test_nine_in_ten_perceptrons_are_solved():
    machine = gpumc.Perceptron(2001)
    found = gpumc.focusing_bp(machine, gpumc.random_patterns(machine, 0.65, 20, seed=5), device="numpy")
    print(f"solved: {int(found.solved.sum())} of 20, steps {found.steps.values.ravel()}")
    assert found.solved.mean() >= 0.9


def test_the_path_falls_from_the_whole_entropy():
    """Without coupling the local entropy is that of all solutions; it falls as the replicas draw together."""
    machine = gpumc.Perceptron(501)
    patterns = gpumc.random_patterns(machine, 0.5, 2, seed=3)
    found = gpumc.focusing_bp(
        machine,
        patterns,
        protocol=gpumc.Scoping(np.arange(0, 0.6, 0.1)),
        iterations=500,
        tolerance=1e-8,
        device="numpy",
    )
    entropy = gpumc.entropy(machine, patterns, device="numpy").entropy
    assert np.allclose(found.local_entropy[:, 0, 0], entropy, atol=1e-6)
    assert np.allclose(found.overlap_centre[:, 0, 0], 0, atol=1e-12)
    steps = int(found.steps.min())
    assert (np.diff(found.local_entropy[:, 0, :steps]) < 0).all()
    assert (np.diff(found.overlap_centre[:, 0, :steps]) > 0).all()
    assert np.isnan(found.local_entropy[0, 0, int(found.steps[0, 0]) :]).all()


def test_the_local_entropy_is_the_slope_of_all_replicas_free_entropy():
    """Phi_y = y (phi + interaction) with its centre: d Phi_y / dy at a converged point is the mean free entropy around a centre."""
    machine, coupling = gpumc.Perceptron(201), 0.4
    patterns = gpumc.random_patterns(machine, 0.4, 1, seed=4)
    one = np.zeros(1, int)

    def solved(y):
        constraints = Constraints.of(machine, patterns.xi[0], patterns.labels[0])
        graph = Graph.of(choose("numpy"), machine, [constraints], one, np.float64)
        infinite, count = np.array([np.inf]), graph.multiplicities()
        hard = channel(choose("numpy"), machine, gpumc.ErrorCount().rows(1), infinite, count, np.float64)
        form = Amp(graph, hard)
        prior = Replicas(np.array([y]), np.array([coupling]))
        messages = Messages.start(np.zeros((1, 1, 201)), form.memory(np.float64))
        converge(form, prior, messages, damping=0.3, tolerance=1e-12, iterations=2000)
        incoming = messages.incoming
        interaction = form.interaction(prior.fields(incoming), incoming, messages.memory)
        together = np.logaddexp(y * log_cosh2(incoming + coupling), y * log_cosh2(incoming - coupling)).sum()
        return (y * interaction + together).item(), (prior.local_partition(incoming) + interaction).item()

    slope = (solved(3.001)[0] - solved(2.999)[0]) / 0.002
    assert slope == pytest.approx(solved(3.0)[1], rel=1e-6)


@pytest.mark.parametrize(
    ("iterations", "damping", "expected"), [(400, 0.3, np.nan), (2000, 0.8, 0.2359)], ids=["oscillates", "converges"]
)
def test_a_step_that_has_not_converged_has_no_entropy(iterations, damping, expected):
    """Enumeration gives 0.247; messages that swing to and fro gave -2.54."""
    machine = gpumc.Perceptron(11)
    found = gpumc.focusing_bp(
        machine,
        gpumc.random_patterns(machine, 0.36, seed=106),
        protocol=gpumc.FreeScoping([(7.0, 1.0)]),
        iterations=iterations,
        tolerance=1e-9,
        damping=damping,
        device="numpy",
    )
    assert found.converged.item() == np.isfinite(expected)
    assert found.local_entropy.item() == pytest.approx(expected, abs=1e-4, nan_ok=True)
    assert np.isfinite(found.overlap_centre.item()) == found.converged.item()


def test_replicas_on_their_centre_have_no_local_entropy():
    machine = gpumc.Perceptron(51)
    patterns = gpumc.random_patterns(machine, 0.4, seed=1)
    found = gpumc.focusing_bp(
        machine, patterns, protocol=gpumc.StandardReinforcement([0.3]), iterations=300, device="numpy"
    )
    assert found.converged.all()
    assert np.isnan(found.local_entropy).all()
    assert found.overlap_centre.item() == pytest.approx(1)


def test_parities_of_three_units_stay_at_their_symmetric_point():
    few = gpumc.PseudoReinforcement([0.0, 0.5])
    for machine, stay in ((gpumc.TreeParity(21, 3), True), (gpumc.TreeCommittee(21, 3), False)):
        patterns = gpumc.random_patterns(machine, 0.3, 2, seed=1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gpumc.focusing_bp(machine, patterns, protocol=few, starts=3, device="numpy")
        assert any("6 of 6 starts stay at 0" in str(one.message) for one in caught) == stay


def test_a_magnetisation_near_one_may_hide_what_damping_holds_back():
    """From a field of 40 to -40 a damped step of 0.85 leaves 28: nothing moves, and nothing has converged."""

    class Turning:
        """A form whose messages change their signs at each step."""

        def __init__(self, graph):
            self.graph = graph

        def rows(self, chosen):
            return Turning(self.graph.rows(chosen))

        def step(self, now, memory):
            return -40 * np.sign(now.fields), memory

    machine = gpumc.Perceptron(5)
    xi, labels = np.ones((1, 5), np.int8), np.ones(1, np.int8)
    graph = Graph.of(choose("numpy"), machine, [Constraints.of(machine, xi, labels)], np.zeros(1, int), np.float64)
    messages = Messages.start(np.full((1, 1, 5), 40.0), np.zeros((1, 1, 1)))
    nothing = Pull(np.ones((1, 1, 5)), np.zeros(1))
    converge(Turning(graph), nothing, messages, damping=0.85, tolerance=1e-8, iterations=10)
    assert not messages.converged.any()
    assert messages.residual.item() == pytest.approx(2)


@pytest.mark.parametrize("weights", ["binary", "spherical"])
def test_a_start_that_is_given_up_says_how_wrong_it_is(weights):
    """The first step overflows: what is left is where messages start from."""
    machine = gpumc.Perceptron(51, weights=weights)
    patterns = gpumc.random_patterns(machine, 0.5, 2, seed=1)
    found = gpumc.focusing_bp(
        machine, patterns, protocol=gpumc.FreeScoping([(1e308, np.inf)]), starts=3, device="numpy"
    )
    assert (found.steps == 0).all()
    for i in range(2):
        stabilities = machine.stabilities(found.weights.values[i], patterns.xi[i], patterns.labels[i])
        assert np.array_equal((stabilities < 0).sum(axis=1), found.errors[i])


def test_starts_are_the_same_however_many_there_are():
    patterns = gpumc.random_patterns(SMALL, 0.2, 2, seed=1)
    few, many = (
        gpumc.focusing_bp(SMALL, patterns.__class__(patterns.xi[:i], patterns.labels[:i]), seed=3, device="numpy")
        for i in (1, 2)
    )
    assert np.array_equal(few.weights[0], many.weights[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "standard"}, "standard-reinforcement"),
        ({"protocol": gpumc.Scoping([])}, "never starts"),
        ({"protocol": gpumc.FreeScoping([])}, "never starts"),
        ({"protocol": gpumc.StandardReinforcement([0.5, 1.0])}, "below 1"),
        ({"protocol": gpumc.Scoping([0.1], replicas=0)}, "at least 1"),
        ({"protocol": gpumc.PseudoReinforcement(x=0.7)}, "1/2"),
        ({"protocol": gpumc.FreeScoping([(0.5, 1.0)])}, "at least 1"),
        ({"protocol": gpumc.FreeScoping([(1,)])}, r"shape \(1, 1\).*pairs"),
        ({"protocol": gpumc.FreeScoping([1, 2])}, r"shape \(2,\).*pairs"),
        ({"protocol": gpumc.FreeScoping([(1, 2), (1,)])}, "rows of one length"),
        ({"protocol": gpumc.StandardReinforcement([[0.1, 0.2]])}, r"rho has shape \(1, 2\)"),
        ({"protocol": gpumc.StandardReinforcement("a")}, "rho: numbers are needed, found 'a'"),
        ({"protocol": gpumc.Scoping(replicas=np.inf)}, "replicas = inf: a finite number"),
        ({"protocol": gpumc.Scoping(replicas="a")}, "replicas = 'a'"),
        ({"protocol": None}, "protocol = None.*standard-reinforcement"),
        ({"protocol": 3}, "protocol = 3.*standard-reinforcement"),
        ({"starts": 0}, "starts = 0"),
        ({"seed": -1}, "seed = -1: a whole number from 0 to 281474976710655"),
        ({"seed": 2**60}, "from 0 to 281474976710655"),
        ({"damping": "a"}, "damping = 'a'"),
        ({"tolerance": np.inf}, "tolerance = inf"),
        ({"damping": 1.0}, "damping = 1"),
        ({"iterations": 0}, "iterations = 0"),
        ({"form": "tap"}, "form = 'tap'"),
    ],
)
def test_bad_input_is_said(arguments, message):
    with pytest.raises(ConfigError, match=message):
        gpumc.focusing_bp(SMALL, gpumc.random_patterns(SMALL, 0.1, 1, seed=5), device="numpy", **arguments)
