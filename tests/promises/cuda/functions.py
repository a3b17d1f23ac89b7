"""CuPy's functions and operators by name: only those that the real one has, and only with the arguments that it takes.

NumPy computes. What CuPy does otherwise has a function of its own below; everything else is unwrapped, computed and wrapped.
Launches are those of CuPy 14's sources.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special

from tests.promises.cuda.arrays import SCALARS, SORTS, checked, fresh, ndarray, operand, poisoned, read, view, write
from tests.promises.cuda.costs import METER
from tests.promises.cuda.streams import current_device, launch, wait

API = json.loads(Path(__file__).with_name("api.json").read_text())
CUPY = API["cupy"]
#: What computes the functions of a module.
COMPUTED = {"cupy": np, "cupy.linalg": np.linalg, "cupy.fft": np.fft, "cupyx.scipy.special": scipy.special}

#: Launches of one call, where they are not one.
LAUNCHES = {
    **dict.fromkeys(
        ("broadcast_to", "moveaxis", "swapaxes", "split", "squeeze", "transpose", "expand_dims", "reshape"), 0
    ),
    **dict.fromkeys(("eye", "take_along_axis", "linspace"), 2),
    **dict.fromkeys(("cumsum", "einsum"), 3),
    **dict.fromkeys(("sort", "argsort"), SORTS),
    "var": 4,
    "std": 5,
    "delete": 7,
    "quantile": 11,
    # cuSOLVER's and cuBLAS's for many small matrices: copies, pointers, the routine, and what it leaves in place
    "cupy.linalg.eigh": 6,
    "cupy.linalg.eigvalsh": 5,
    "cupy.linalg.inv": 8,
    "cupy.linalg.solve": 6,
    # cuFFT's transform after a copy, and what normalises an inverse
    "cupy.fft.rfft": 2,
    "cupy.fft.irfft": 3,
}
#: Functions that wait for the device.
WAITS = ("delete", "flatnonzero", "unique")
#: Functions of a list of arrays.
OF_LISTS = ("stack", "concatenate", "hstack", "vstack", "column_stack")
COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


def known(name: str) -> bool:
    """Whether CuPy has a function of this name."""
    return name in CUPY


@functools.cache
def named(name: str, module: str = "cupy") -> Any:
    """A function of CuPy. Raises AttributeError where CuPy has none, or the stand-in has not."""
    entry = API[module].get(name)
    if entry is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    if module == "cupy" and name in OWN:
        return OWN[name]
    computed = getattr(COMPUTED[module], name, None)
    if computed is None:
        raise AttributeError(f"the stand-in has no {module}.{name}: write it into {__name__}")
    if entry["kind"] == "type":
        return computed
    if entry["kind"] == "ufunc":
        return UFunc(name, entry, computed)
    return wrapped(f"{module}.{name}" if module in ("cupy.linalg", "cupy.fft") else name, entry["signature"], computed)


class UFunc:
    """An elementwise function: one launch, and arrays of the host refused."""

    def __init__(self, name: str, entry: dict, computed: Any):
        self.name = self.__name__ = name
        self.nin, self.nout = entry["nin"], entry["nout"]
        self._computed = computed

    def __call__(self, *args, out=None, where=None, dtype=None, casting="same_kind"):
        inputs, out = args[: self.nin], args[self.nin] if len(args) > self.nin else out
        if len(inputs) != self.nin:
            raise TypeError(f"Wrong number of arguments for {self.name!r}")
        if self.name in COMPARISONS:  # which CuPy lets be with numbers of the host
            inputs = tuple(x.item() if isinstance(x, np.ndarray) and not x.ndim else x for x in inputs)
        raw = [operand(x, self.name) for x in inputs]
        options = {} if where is None else {"where": operand(where, "where")}
        options |= {} if dtype is None else {"dtype": dtype}
        with np.errstate(all="ignore"):
            if out is not None:
                if not isinstance(out, ndarray):
                    raise TypeError(f"Unsupported type {type(out)} (out of {self.name})")
                launch(self.name)
                self._computed(*raw, out=write(out), casting=casting, **options)
                return out
            result = self._computed(*raw, **options)
        launch(self.name)
        return tuple(map(fresh, result)) if isinstance(result, tuple) else fresh(result)

    def outer(self, a, b):
        launch(self.name)
        return fresh(self._computed.outer(operand(a, self.name), operand(b, self.name)))

    def reduce(self, a, axis=0, dtype=None, out=None, keepdims=False):
        launch(self.name)
        return fresh(self._computed.reduce(operand(a, self.name), axis=axis, dtype=dtype, keepdims=keepdims))


@functools.cache
def parameters(signature: str) -> inspect.Signature:
    scope: dict[str, Any] = {}
    exec(f"def function{signature}: pass", scope)
    return inspect.signature(scope["function"])


def wrapped(name: str, signature: str | None, computed: Callable) -> Callable:
    """A function of arrays and settings."""

    @functools.wraps(computed)
    def call(*args, **kwargs):
        if signature is not None:
            parameters(signature).bind(*args, **kwargs)
        if name in OF_LISTS:
            args = (list(args[0]), *args[1:])
            if not all(isinstance(x, ndarray) for x in args[0]):
                raise TypeError("Only cupy arrays can be concatenated")
        if name in ("sort", "argsort"):
            if kwargs.get("kind") not in (None, "stable"):
                raise ValueError("kind can only be None or 'stable'")
            kwargs["kind"] = "stable"
        sources = [x for x in (*args, *kwargs.values()) if isinstance(x, ndarray)]
        raw, settings = [on_host(x, name) for x in args], {key: on_host(x, name) for key, x in kwargs.items()}
        with np.errstate(all="ignore"):
            result = computed(*raw, **settings)
        launch(name, LAUNCHES.get(name, 1))
        if name in WAITS:
            wait(name)
        return on_device(result, sources)

    return call


def on_host(value: Any, name: str) -> Any:
    """What NumPy gets for an argument; lists are gone through."""
    if isinstance(value, (ndarray, np.ndarray)):
        return operand(value, name)
    if isinstance(value, (list, tuple)):
        return type(value)(on_host(x, name) for x in value)
    return value


def on_device(result: Any, sources: list[ndarray]) -> Any:
    """What CuPy gives for NumPy's result: a view of a source's memory where it is one."""
    if isinstance(result, (list, tuple)):
        return (list if isinstance(result, list) else tuple)(on_device(x, sources) for x in result)
    if isinstance(result, np.ndarray):
        owners = [x for x in sources if result.size and np.shares_memory(result, x.host)]
        return view(owners[0], result) if owners else fresh(result)
    return fresh(result) if isinstance(result, np.generic) else result


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    if isinstance(obj, (list, tuple)) and any(isinstance(x, ndarray) for x in obj):
        return named("stack")([asarray(x) for x in obj])
    if not isinstance(obj, ndarray):
        numbers = np.array(obj, dtype=dtype, order="C", ndmin=ndmin)
        METER.to_device("array", checked(numbers.dtype) and numbers.nbytes)
        return fresh(numbers)
    if obj.buffer.device != current_device():
        METER.to_device("from another device", obj.nbytes)
        return fresh(obj.host.astype(dtype or obj.dtype, copy=True))
    return obj.astype(dtype or obj.dtype, copy=bool(copy))


def asarray(a, dtype=None, order=None, *, blocking=False):
    return array(a, dtype, copy=False)


def ascontiguousarray(a, dtype=None):
    found = asarray(a, dtype)
    return found if found.flags.c_contiguous else found.copy()


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def empty(shape, dtype=float, order="C"):
    return ndarray(shape, dtype, order=order)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    if not isinstance(prototype, ndarray):
        raise TypeError(f"Unsupported type {type(prototype)} (in empty_like)")
    return fresh(poisoned(np.empty_like(prototype.host, dtype, order="C", shape=shape)))


def where(condition, x=None, y=None):
    if not isinstance(condition, ndarray):
        raise AttributeError(
            f"{type(condition).__name__!r} object has no attribute 'astype' (cupy.where needs an array)"
        )
    if x is None and y is None:
        return condition.nonzero()
    with np.errstate(all="ignore"):
        result = np.where(*(operand(value, "where") for value in (condition, x, y)))
    launch("where")
    return fresh(result)


def take(a, indices, axis=None, out=None, mode="wrap"):
    indices = asarray(indices)
    launch("take")
    return fresh(read(a).take(read(indices), axis))


def repeat(a, repeats, axis=None):
    if isinstance(repeats, np.ndarray):
        raise TypeError("'repeats' must not be numpy.ndarray: convert it with cupy.array() first")
    if isinstance(repeats, ndarray):
        wait("repeat")
        repeats = read(repeats)
    result = np.repeat(operand(a, "repeat"), repeats, axis)
    launch("repeat")
    return fresh(result)


def result_type(*args):
    return np.result_type(*(x.host if isinstance(x, ndarray) else x for x in args))


class MatMul:
    """Products by cuBLAS: strided batches are copied first, and where one operand is repeated, pointers are made."""

    __name__ = "matmul"

    def __call__(self, a, b, out=None):
        for x in (a, b):
            if not isinstance(x, ndarray):
                raise TypeError(f"Unsupported type {type(x)} (in matmul)")
        if out is not None:
            raise NotImplementedError("matmul with out")
        x, y = read(a), read(b)
        if max(x.ndim, y.ndim) > 2:
            launch("copy for matmul", sum(not z.flags.c_contiguous for z in (x, y)))
            lead = [z.shape[:-2] for z in (x, y)]
            rank = max(map(len, lead))
            if len({(1,) * (rank - len(shape)) + shape for shape in lead}) > 1:
                launch("pointers for matmul", 3)
        launch("matmul")
        return fresh(np.matmul(x, y))


matmul = MatMul()
#: What CuPy does in its own way.
OWN: dict[str, Any] = {
    f.__name__: f
    for f in (array, asarray, ascontiguousarray, asnumpy, empty, empty_like, where, take, repeat, result_type, matmul)
} | {"asanyarray": asarray, "ndarray": ndarray}

OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "left_shift",
    "rshift": "right_shift",
    "matmul": "matmul",
}
ORDERINGS = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal"}
SIGNS = {"neg": "negative", "invert": "invert", "abs": "absolute", "pos": "positive"}
METHODS = (
    "sum",
    "prod",
    "max",
    "min",
    "mean",
    "any",
    "all",
    "argmax",
    "argmin",
    "var",
    "std",
    "cumsum",
    "repeat",
    "clip",
    "take",
)


def _operator(name: str, reflected: bool = False) -> Callable:
    def method(self, other):
        if not isinstance(other, (*SCALARS, ndarray, np.ndarray)):
            return NotImplemented
        return named(name)(other, self) if reflected else named(name)(self, other)

    return method


def _attach() -> None:
    """Give arrays their operators, and the methods that are functions of them."""
    for method, name in (OPERATORS | ORDERINGS).items():
        setattr(ndarray, f"__{method}__", _operator(name))
    for method, name in OPERATORS.items():
        setattr(ndarray, f"__r{method}__", _operator(name, reflected=True))
        if name != "matmul":
            setattr(ndarray, f"__i{method}__", lambda self, other, _name=name: named(_name)(self, other, out=self))
    for method, name in SIGNS.items():
        setattr(ndarray, f"__{method}__", lambda self, _name=name: named(_name)(self))
    for name in (*METHODS, "argsort"):
        setattr(ndarray, name, lambda self, *args, _name=name, **kwargs: named(_name)(self, *args, **kwargs))


_attach()
