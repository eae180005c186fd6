"""Parameters as a safetensors file, which other frameworks read and which can execute nothing."""

from __future__ import annotations

from pathlib import Path

from utils import intact
from utils.errors import UserError, needing, writing

SUFFIX = ".safetensors"


def read(file: Path) -> dict:
    """The arrays in a file by name.

    Raises
    ------
    UserError
        If there is none, it cannot be read, or the package is not installed.
    """
    numpy = _safetensors()
    if not file.is_file():
        raise UserError(f"there is no file {file}: correct the path.")
    try:
        return numpy.load_file(file)
    except Exception as error:  # of Rust, and of numpy for types that it does not have
        raise UserError(f"{file} cannot be read ({error}): get it again.") from error


def write(file: Path, model) -> None:
    """Write the parameters and buffers of a model under their names in `state_dict`."""
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    intact.write(file, _safetensors().save(arrays, {"format": "np"}))


def _safetensors():
    sentence = f'{SUFFIX} files need a package that is not here: pip install -e ".[safetensors]".'
    with needing("safetensors", sentence):
        import safetensors.numpy
    return safetensors.numpy
