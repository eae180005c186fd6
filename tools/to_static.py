"""Export for Paddle Inference: python tools/to_static.py -m models/maml/config.yaml [--support DIR]

Without --support, the network as it was meta-trained; with it, a classifier adapted to the classes
in DIR, one folder of images each. With --parameters FILE.safetensors, the parameters alone, for
other programs and for runner.model_init_path.
"""

from __future__ import annotations

from pathlib import Path

import utils.before_paddle  # noqa: F401
import utils.library  # noqa: F401

# isort: split
from paddle_maml import exported
from utils import tensors
from utils.config import path_of
from utils.errors import UserError, run
from utils.model import best_model, open_tool
from utils.progress import logger


def main():
    arguments, config, model_class = open_tool(__doc__, add_options)
    if arguments.parameters:
        return write_parameters(Path(arguments.parameters), config, model_class)
    if not hasattr(model_class, "export"):
        raise UserError(
            f"{config['model_dir']}/dygraph_model.py has no export(): a model directory of "
            "PaddleRec's own is exported by the to_static.py that PaddleRec has for it."
        )
    if arguments.steps is not None and arguments.support is None:
        raise UserError("--steps goes with --support DIR, whose images the steps are made on.")
    if arguments.steps is not None and arguments.steps < 0:
        raise UserError(f"--steps is {arguments.steps}: it takes 0 or more.")
    directory = path_of(config, config.get("runner.infer_load_path", "model_output"))
    name = "exported_classifier" if arguments.support else "exported_network"
    out = Path(arguments.out) if arguments.out else directory / name
    exported.check_target(out)
    model, found = best_model(model_class, config)
    export = model_class.export(model, config, arguments.support, arguments.steps)
    export.description["checkpoint"] = str(found)
    exported.write(out, export)
    normalisation = export.description["batch_norm"]
    logger.info(f"exported {found} to {out}; batch norm: {normalisation}")


def write_parameters(file: Path, config, model_class) -> None:
    """Write the parameters of the best checkpoint as a safetensors file."""
    if file.suffix != tensors.SUFFIX:
        raise UserError(f"--parameters {file}: call the file NAME{tensors.SUFFIX}.")
    model, found = best_model(model_class, config)
    tensors.write(file, model)
    logger.info(f"the parameters of {found} are in {file}")


def add_options(parser):
    parser.add_argument("--support", metavar="DIR", help="export a classifier for these classes")
    parser.add_argument(
        "--steps", type=int, metavar="N", help="inner steps on DIR; update_step_test if not given"
    )
    parser.add_argument(
        "--parameters", metavar="FILE", help="write the parameters alone, as FILE.safetensors"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where to; exported_network or exported_classifier in runner.infer_load_path if not "
        "given",
    )


if __name__ == "__main__":
    run(main)
