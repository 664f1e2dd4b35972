"""Official checkpoint files put into networks: the tensors only, whatever the file wraps them in.

How a file is read without running anything of it stands in `vtlab.weights.unpickling`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.errors import WeightsError, needs
from vtlab.files import DAMAGE
from vtlab.weights.unpickling import read_content

if TYPE_CHECKING:
    import torch

#: Keys under which official files wrap their state dict, in order of preference.
WRAPPING_KEYS = (
    "net",
    "state_dict",
    "model",
    "model_state_dict",
    "model_state",
    "network",
    "params",
    "weights",
)

_LOADED: ContextVar[list[Path] | None] = ContextVar("loaded", default=None)


@contextmanager
def watched() -> Iterator[list[Path]]:
    """Collect the files from which all tensors of a network were loaded strictly, while the block runs."""
    seen: list[Path] = []
    token = _LOADED.set(seen)
    try:
        yield seen
    finally:
        _LOADED.reset(token)


def _note(path: str | Path) -> None:
    seen = _LOADED.get()
    if seen is not None:
        seen.append(Path(path))


def load_tensors(path: str | Path, *, key: str | None = None) -> dict[str, torch.Tensor]:
    """Return the named tensors of a checkpoint file, on the CPU, without running anything of the file.

    Args:
        path: Checkpoint in PyTorch's zip or stream format, or safetensors.
        key: Top-level key that wraps the state dict; found by `WRAPPING_KEYS` when None.

    Returns:
        Parameter name to tensor, in the file's order. A leading `module.` that all names share
        (`torch.nn.DataParallel`) is removed; values that are not tensors are left out.

    Raises:
        WeightsError: The file is missing, damaged, of an unknown format, claims more than it holds, or has no
            tensors under `key`.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise needs("torch", "torch", f"Reading the checkpoint {path}") from error
    path = Path(path)
    try:
        content = read_content(path)
    except OSError as error:
        raise WeightsError(f"Can't read the checkpoint {path}: {error.strerror or error}.") from error
    except DAMAGE as error:
        raise WeightsError(
            f"The checkpoint {path} is damaged, truncated or foreign ({type(error).__name__}: {error}). "
            "Remedy: fetch it again and compare its size and hash with the official ones."
        ) from error
    return _unwrap(content, key, path)


def load_into(
    module: torch.nn.Module,
    path: str | Path,
    *,
    what: str,
    key: str | None = None,
    variant_of: Callable[[Mapping[str, torch.Tensor]], str | None] | None = None,
    read: Callable[[Path], dict[str, torch.Tensor]] | None = None,
) -> None:
    """Load a checkpoint file into `module`: every name and every shape must agree, in both directions.

    Args:
        module: Network to fill, in place.
        path: Checkpoint, see `load_tensors`.
        what: Name of the variant that `module` is, for the error message, e.g. `"mcitrack-t224"`.
        key: Top-level key that wraps the state dict; found when None.
        variant_of: Names the variant that a state dict belongs to, or None when it belongs to none it knows.
        read: Reads files of a layout of their own, instead of `load_tensors`.

    Raises:
        WeightsError: As `load_tensors`, or names or shapes differ; the message names the first differences
            and says of which variant the file is where `variant_of` knows it.
    """
    tensors = load_tensors(path, key=key) if read is None else read(Path(path))
    own = module.state_dict()
    wrong = _difference(own, tensors)
    if wrong:
        other = variant_of(tensors) if variant_of is not None else None
        hint = (
            f"It is a checkpoint of {other}. Remedy: create that tracker, or give the file of {what}."
            if other not in (None, what)
            else f"Remedy: give the official checkpoint of {what}."
        )
        raise WeightsError(f"The checkpoint {path} does not fit {what}: {'; '.join(wrong)}. {hint}")
    module.load_state_dict(tensors, strict=True)
    _note(path)


def load_transformers(name: str, config: Path, file: Path, *, what: str) -> torch.nn.Module:
    """Make a network of the library transformers from its files, in eval mode; every tensor must fit.

    Args:
        name: The library's class without "Model", e.g. "Sam2Video".
        config: The hub's `config.json`.
        file: The hub's `model.safetensors`.
        what: Name of the variant, for messages.

    Raises:
        WeightsError: As `load_into`, or `config` is missing or damaged.
        MissingDependencyError: transformers, or a package that this network needs of it, is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise needs("transformers", "transformers", repr(what)) from error
    if not config.is_file():
        raise WeightsError(f"There is no {config}. Remedy: give the folder of the model as the hub has it.")
    tensors = load_tensors(file)
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # its table of what differs: the first of it are in the error
    try:
        settings = getattr(transformers, f"{name}Config").from_json_file(config)
        network, found = getattr(transformers, f"{name}Model").from_pretrained(
            None, config=settings, state_dict=tensors, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except ImportError as error:
        raise needs(error.name or "timm", "transformers", repr(what)) from error
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{config} is not the configuration of {what}: {error}.") from error
    finally:
        transformers.logging.set_verbosity(level)
    shapes = [
        f"{n} has shape {tuple(a)}, expected {tuple(b)}" for n, a, b in sorted(found["mismatched_keys"])
    ]
    wrong = _described(sorted(found["missing_keys"]), sorted(found["unexpected_keys"]), shapes)
    if wrong:
        raise WeightsError(
            f"The checkpoint {file} does not fit {what}: {'; '.join(wrong)}. Remedy: give the official files of {what} "
            f"(transformers {transformers.__version__} reads them)."
        )
    _note(file)
    return network.eval()


def _difference(own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> list[str]:
    shapes = [
        f"{name} has shape {tuple(given[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    return _described(
        [name for name in own if name not in given], [name for name in given if name not in own], shapes
    )


def _described(missing: Sequence[str], unexpected: Sequence[str], shapes: Sequence[str]) -> list[str]:
    """Say how many names of each kind differ, and the first three of them; nothing for a kind without any."""
    parts = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    return [f"{len(names)} {kind} (first: {', '.join(names[:3])})" for kind, names in parts.items() if names]


def _unwrap(content: Any, key: str | None, path: Path) -> dict[str, torch.Tensor]:
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"The checkpoint {path} holds a whole pickled object, which is never rebuilt, instead of named "
            "tensors. Remedy: give a file with a state dict."
        )
    if key is not None and not isinstance(content.get(key), Mapping):
        raise WeightsError(f"The checkpoint {path} has no tensors under {key!r}; it has: {_names(content)}.")
    candidates = [content[key]] if key is not None else _candidates(content)
    tensors = next((found for candidate in candidates if (found := _tensors(candidate))), None)
    if tensors is None:
        raise WeightsError(f"The checkpoint {path} holds no tensors; its top level has: {_names(content)}.")
    _check_claims(tensors, path)
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _candidates(content: Mapping[Any, Any]) -> list[Mapping[Any, Any]]:
    """Mappings that may be the state dict, the likeliest first: wrapped once, wrapped twice, itself."""
    wrapped = [content[k] for k in WRAPPING_KEYS if isinstance(content.get(k), Mapping)]
    deeper = [inner[k] for inner in wrapped for k in WRAPPING_KEYS if isinstance(inner.get(k), Mapping)]
    return [*wrapped, *deeper, content]


def _tensors(mapping: Mapping[Any, Any]) -> dict[str, torch.Tensor]:
    import torch

    return {k: v.detach() for k, v in mapping.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}


def _check_claims(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse a tensor that repeats a few bytes to a size the file does not have."""
    size = path.stat().st_size
    for name, tensor in tensors.items():
        if tensor.numel() * tensor.element_size() > size:
            raise WeightsError(
                f"{name} in {path} claims shape {tuple(tensor.shape)}, more than the file's {size} bytes."
            )


def _names(content: Iterable[Any]) -> str:
    names = [repr(name) for name in content if isinstance(name, str)]
    rest = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + rest if names else "nothing with a name"
