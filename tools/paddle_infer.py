"""Run an exported model on a directory of data:

python tools/paddle_infer.py --model_dir EXPORTED --data_dir IMAGES --reader_file models/maml/omniglot_reader.py
"""  # noqa: E501

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import utils.before_paddle  # noqa: F401
import utils.library  # noqa: F401

# isort: split
from paddle.io import DataLoader
from paddle_maml import exported, load
from paddle_maml.pixel_scale import PixelScale
from utils.errors import UserError, run
from utils.model import import_reader, set_device
from utils.progress import start_log


def main():
    arguments = parse_arguments()
    start_log()
    set_device({"runner.use_gpu": arguments.use_gpu})
    directory = Path(arguments.model_dir)
    description = exported.describe(directory)
    start = load if "classes" in description else exported.predictor
    model = start(directory, arguments.use_gpu, arguments.cpu_threads)
    dataset = read(arguments.reader_file, arguments.data_dir, description)
    loader = DataLoader(dataset, batch_size=arguments.batchsize)
    if "classes" in description:
        names = iter(dataset.names)
        for images, *_ in loader:
            for probabilities, name in zip(model.predict(images), names):
                place = probabilities.argmax()
                print(f"{name}\t{model.classes[place]}\t{probabilities[place]:.4f}")
    else:
        for batch in loader:
            print(*exported.run(model, [part.numpy() for part in batch]), sep="\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model_dir", required=True, help="what tools/to_static.py wrote")
    parser.add_argument("--data_dir", required=True, help="a directory of images, or of folders")
    parser.add_argument(
        "--reader_file", required=True, help="the Python file with the RecDataset that reads them"
    )
    parser.add_argument("--batchsize", type=at_least_one, default=32, metavar="N")
    parser.add_argument(
        "--use_gpu", type=boolean, default=False, metavar="BOOL", help="true or false (the default)"
    )
    parser.add_argument("--cpu_threads", type=at_least_one, default=1, metavar="N")
    return parser.parse_args()


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text} is neither true nor false")
    return text.lower() == "true"


def read(reader_file: str, data_dir: str, description: dict):
    """The data as a reader of PaddleRec's gives them for an exported model."""
    file, data = Path(reader_file), Path(data_dir)
    if not file.is_file() or file.suffix != ".py":
        raise UserError(f"--reader_file: there is no Python file {file}: name the model's reader.")
    if not data.is_dir() or not any(data.iterdir()):
        raise UserError(f"--data_dir: there is nothing in {data}: name a directory of images.")
    sys.path.insert(1, str(file.resolve().parent))
    reader = import_reader(file.stem, file.parent, "--reader_file")
    image = description.get("image", {})
    names = {"side": "imgsize", "channels": "channels", "fit": "fit"}
    form = {f"hyper_parameters.{names[name]}": image[name] for name in names if name in image}
    dataset = reader(
        [str(path) for path in sorted(data.iterdir())], {**form, "runner.inference": True}
    )
    if isinstance(image.get("black"), list):  # by a mean per channel, which no reader has of itself
        try:
            dataset.scale = PixelScale.described(image)
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise UserError(
                f"--model_dir: {exported.DESCRIPTION} does not say how images become numbers: "
                "export it again."
            ) from error
    elif image:
        check_scale(file, getattr(reader, "scale", None), image)
    return dataset


def check_scale(file: Path, given, image: dict) -> None:
    """Refuse a reader whose black and white are other numbers than those of the model's images."""
    taken = image.get("black"), image.get("white")
    if given is not None and tuple(given) != taken:
        raise UserError(
            f"--reader_file: {file} reads black and white as {given[0]} and {given[1]}, but the "
            f"model takes {taken[0]} and {taken[1]}: name the reader it was trained with."
        )


if __name__ == "__main__":
    run(main)
