"""Write api.json: the names, signatures and ufunc types of the CuPy that is installed. It needs the wheel, and no GPU.

python -m tests.promises.cuda.dump_api
"""

import inspect
import json
from pathlib import Path
from types import ModuleType

PATH = Path(__file__).with_name("api.json")

#: Functions of matrices, and Fourier transforms, that the package calls.
LINALG = ("eigh", "eigvalsh", "inv", "solve")
FFT = ("irfft", "rfft")


def signature_of(function) -> str | None:
    """The parameters, with every default written as None: names and kinds are what is checked."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return None
    bare = [p.replace(annotation=p.empty, default=p.empty if p.default is p.empty else None) for p in parameters]
    return str(inspect.Signature(bare))


def described(thing, ufunc: type) -> dict | None:
    """What a name stands for; None where it is nothing that programs use."""
    if isinstance(thing, ufunc):
        return {"kind": "ufunc", "nin": thing.nin, "nout": thing.nout, "types": thing.types}
    if isinstance(thing, type):
        return {"kind": "type"}
    if callable(thing):
        return {"kind": "function", "signature": signature_of(thing)}
    return None


def names_of(module: ModuleType, ufunc: type) -> dict[str, dict]:
    found = {name: described(getattr(module, name), ufunc) for name in dir(module) if not name.startswith("_")}
    return {name: entry for name, entry in found.items() if entry}


def main() -> None:
    import cupy
    import cupyx.scipy.special

    api = {
        "version": cupy.__version__,
        "cupy": names_of(cupy, cupy.ufunc),
        "cupy.linalg": {name: entry for name, entry in names_of(cupy.linalg, cupy.ufunc).items() if name in LINALG},
        "cupy.fft": {name: entry for name, entry in names_of(cupy.fft, cupy.ufunc).items() if name in FFT},
        "cupyx.scipy.special": names_of(cupyx.scipy.special, cupy.ufunc),
        "ndarray": sorted(dir(cupy.ndarray)),
    }
    lines = [f'"{part}": ' + json.dumps(api[part]) for part in ("version", "ndarray")]
    for part in ("cupy", "cupy.linalg", "cupy.fft", "cupyx.scipy.special"):
        entries = ",\n".join(f'"{name}": {json.dumps(entry)}' for name, entry in api[part].items())
        lines.append(f'"{part}": {{\n{entries}\n}}')
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
