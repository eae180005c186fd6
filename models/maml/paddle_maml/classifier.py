"""A saved classifier: neither the network's code nor a configuration is needed to run it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import paddle

from . import exported
from .errors import UserError
from .image_files import check_form, read_image
from .pixel_scale import PixelScale
from .task_classifier import batches, probabilities


def load(path: str | os.PathLike[str], use_gpu: bool = False, cpu_threads: int = 1) -> Classifier:
    """Load what `learner.save` or `tools/to_static.py --support` wrote.

    Paddle Inference runs it. No pickle is read; what Paddle's operators in the program may do is
    up to the program.

    Parameters
    ----------
    path : path
        The directory.
    use_gpu : bool
        Run on the first GPU.
    cpu_threads : int
        Of the CPU's matrix products.

    Raises
    ------
    UserError
        If there is none, it is damaged, no classifier, or a newer Paddle wrote it.

    Examples
    --------
    >>> import tempfile, paddle, paddle_maml
    >>> maml = paddle_maml.MAML(paddle.nn.Linear(3, 2), inner_lr=0.1)
    >>> support_x = paddle.eye(3)
    >>> learner = maml.adapt(support_x, paddle.to_tensor([0, 0, 1]), steps=50)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     learner.save(directory, support_x, ["cat", "dog"])
    ...     classifier = paddle_maml.load(directory)
    >>> classifier.predict(support_x).shape, classifier.classes
    ((3, 2), ['cat', 'dog'])
    """
    return Classifier(Path(path), use_gpu, cpu_threads)


class Classifier:
    """A network that was adapted to the classes of one task, as `load` returns it.

    Batch norm is fixed, to the support images or to running statistics (`description` says which),
    so that what is said of an image depends on that image alone. Threads may share it; they take
    turns.

    Attributes
    ----------
    classes : list of str
        In the order of the probabilities.
    description : dict
        What `infer_cfg.yml` says.

    Examples
    --------
    >>> import tempfile, paddle, paddle_maml
    >>> maml = paddle_maml.MAML(paddle.nn.Linear(3, 2), inner_lr=0.1)
    >>> support_x = paddle.eye(3)
    >>> learner = maml.adapt(support_x, paddle.to_tensor([0, 0, 1]), steps=50)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     learner.save(directory, support_x, ["cat", "dog"])
    ...     classifier = paddle_maml.load(directory)
    >>> [classifier.classes[c] for c in classifier.predict(support_x).argmax(1)]
    ['cat', 'cat', 'dog']
    """

    def __init__(self, directory: Path, use_gpu: bool = False, cpu_threads: int = 1):
        self._predictor = exported.predictor(directory, use_gpu, cpu_threads)
        self._turn = threading.Lock()  # of inputs and outputs a predictor has one each
        self.directory, self.description = directory, exported.describe(directory)
        try:
            self.classes = [str(name) for name in self.description["classes"]]
            form = self.description["input"]
            self._shape, self._dtype = list(form["shape"]), np.dtype(form["dtype"])
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{directory} is exported, but no classifier: name one that learner.save or "
                "tools/to_static.py --support wrote."
            ) from error

    def predict(self, images) -> np.ndarray:
        """The probability of each class for each image.

        Parameters
        ----------
        images : numpy.ndarray or Tensor (image, ...)
            Numbers as the network was trained on, which `read` makes of files: float32
            (image, channels, side, side).

        Returns
        -------
        numpy.ndarray (image, class), float32
            Each row sums to 1.

        Raises
        ------
        UserError
            If the images have another form, or the program does not go with its description.
        """
        images = np.asarray(images)
        if images.dtype == np.uint8:
            raise UserError("these are pixels (uint8): predict takes the numbers that read makes.")
        if [*images.shape[1:]] != self._shape or not len(images):
            raise UserError(
                f"{self.directory} takes one or more images of the shape {self._shape}, but was "
                f"given an array of the shape {[*images.shape]}."
            )
        try:
            images = np.ascontiguousarray(images, self._dtype)
            outputs = [self._outputs(some) for some in batches(images)]
        except Exception as error:  # Paddle has many
            raise UserError(
                f"the program in {self.directory} does not take what {exported.DESCRIPTION} beside "
                "it says: export it again."
            ) from error
        found = probabilities(paddle.to_tensor(np.concatenate(outputs)))
        if found.shape[1:] != (len(self.classes),):
            raise UserError(
                f"{self.directory} names {len(self.classes)} classes but its program puts out "
                f"{found.shape[-1]} numbers per image: export it again."
            )
        return found

    def _outputs(self, images):
        with self._turn:
            return exported.run(self._predictor, [images])[0]

    def read(self, *files: str | os.PathLike[str]) -> np.ndarray:
        """Image files as `predict` takes them: float32 (image, channels, side, side).

        Raises
        ------
        UserError
            If one cannot be read, there is none, or the classifier was saved without the scale of
            its images.
        """
        try:
            image = self.description["image"]
            scale = PixelScale.described(image)
            form = int(image["side"]), int(image["channels"]), image.get("fit", "stretch")
            check_form(*form)
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise UserError(
                f"{self.directory} does not say how images become numbers: give predict() arrays, "
                "or save it with the scale of its images."
            ) from error
        if not files:
            raise UserError("there are no image files to read: name one or more.")
        return scale.values(np.stack([read_image(Path(f), *form) for f in files]))
