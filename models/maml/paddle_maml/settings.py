"""The `hyper_parameters` of a config, checked."""

from __future__ import annotations

import dataclasses
import difflib
import math

from .augmentation import Augmentation
from .errors import UserError
from .pixel_scale import PixelScale

_PREFIX = "hyper_parameters."
_MOST = 2**31 - 1  # Paddle's
_MOST_PIXELS = 4096  # a side; 200 MB for the numbers of one image in colour


@dataclasses.dataclass(frozen=True)
class Settings:
    """One field per key; a dot in a key is a double underscore in the field.

    The names are those of PaddleRec's maml where the meaning is the same.

    Examples
    --------
    >>> from paddle_maml.settings import Settings
    >>> Settings.from_config({"hyper_parameters.n_way": 20}).n_way
    20
    """

    # the tasks
    n_way: int = 5  # classes per task
    k_spt: int = 1  # support images per class; in regression, support points
    k_query: int = 15  # query images per class; in regression, query points
    k_query_test: int | None = None  # the same in validation and meta-test; k_query if not given
    query_set: str = "disjoint"  # support: in training, the support images are the queries, too
    tasks_per_epoch: int = 3200
    rotation: bool = True  # training classes also turned by 90, 180 and 270 degrees
    reflection: bool = False  # with rotation: and the mirror images of all of these
    rotation_of: str = "class"  # each by itself; task: in training, all of a task turned alike
    rotation_test: bool = False  # each class by itself, in validation and meta-test
    imgsize: int = 28  # height and width in pixels
    channels: int = 1  # 1 grey, 3 colour
    fit: str = "stretch"  # images that are not square: or crop, to the square in the middle
    mean: list | None = None  # per channel, of brightness from 0 to 1; the reader's scale if none
    std: list | None = None  # with mean: values are (brightness - mean) / std
    split: list | None = None  # shares of a directory's classes: training, validation, test
    split_seed: int = 0  # of that draw
    min_images: int = 0  # classes with fewer are left out
    augmentation__flip: bool = False  # half of the training images mirrored, left to right
    augmentation__padding: int = 0  # pixels by which they are shifted at most
    augmentation__brightness: float = 0.0  # they are multiplied by 1 +- this
    augmentation__contrast: float = 0.0  # so is their distance from their mean
    loss: str = "cross_entropy"  # mse: regression
    oracle: bool = False  # regression only: the network is told which task it is
    # the algorithm
    algorithm: str = "maml"
    order: int = 2  # 2: exact meta-gradient; 1: first-order
    update_step: int = 1  # inner steps in training
    update_step_test: int = 10  # inner steps in validation and meta-test
    base_optimizer__class: str = "SGD"
    base_optimizer__learning_rate: float = 0.4  # inner_lr
    base_optimizer__clip: float | None = None  # each entry of an inner gradient to +-clip
    base_optimizer__clip_norm: float | None = None  # or all of it to this Euclidean norm
    base_optimizer__strategy: str = "async"  # PaddleRec's; without effect there and here
    meta_optimizer__class: str = "Adam"
    meta_optimizer__learning_rate: float = 0.001  # meta_lr
    meta_optimizer__strategy: str = "async"
    meta_optimizer__decay: str = "none"  # cosine: down to zero at the last step
    meta_optimizer__clip: float | None = None  # each entry of the meta-gradient to +-clip
    meta_optimizer__clip_norm: float | None = None  # or all of it to this Euclidean norm
    maml_pp__multi_step_epochs: int = 10  # until only the query loss after the last step counts
    maml_pp__first_order_epochs: int = 0  # before those of `order`
    pretrain_classes: int | None = None  # in training, turned ones too; fine_tune needs it
    # the network
    network: str = "conv4"  # or mlp, or the MODULE.NAME of one's own
    hidden: list = dataclasses.field(default_factory=lambda: [256, 128, 64, 64])  # units of mlp
    bn_channel: int = 64  # filters per block
    conv_stride: int = 1  # 1: max-pool after each block; 2: strided convolutions instead
    conv_padding: int = 1
    conv_kernal: list = dataclasses.field(default_factory=lambda: [3, 3])

    @classmethod
    def from_config(cls, config: dict) -> Settings:
        """Read a flat config ("hyper_parameters.n_way": 5, ...); every other prefix is ignored.

        Raises
        ------
        UserError
            For an unknown key, a value of the wrong type or one out of range.
        """
        fields = {f.name.replace("__", "."): f for f in dataclasses.fields(cls)}
        values = {}
        for key, value in config.items():
            if not key.startswith(_PREFIX):
                continue
            name = key[len(_PREFIX) :]
            if name not in fields:
                near = difflib.get_close_matches(name, fields, 1)
                hint = (
                    f"did you mean {_PREFIX}{near[0]}?" if near else f"known: {', '.join(fields)}."
                )
                raise UserError(f"unknown key {key}: {hint}")
            values[fields[name].name] = _typed(key, value, fields[name])
        settings = cls(**values)
        settings._check()
        first_order = settings.algorithm in ("fomaml", "reptile")
        return dataclasses.replace(settings, order=1) if first_order else settings

    def query(self, training: bool) -> int:
        """Query images per class, in training or in validation and meta-test."""
        return self.k_query if training or self.k_query_test is None else self.k_query_test

    @property
    def form(self) -> tuple[int, int, str]:
        """The form of the images, as `load_image_classes` takes it: side, channels, fit."""
        return self.imgsize, self.channels, self.fit

    @property
    def augmentation(self) -> Augmentation:
        """What is done to training images."""
        return Augmentation(
            self.augmentation__flip,
            self.augmentation__padding,
            self.augmentation__brightness,
            self.augmentation__contrast,
        )

    def scale(self, readers: PixelScale) -> PixelScale:
        """The scale of the images: by `mean` and `std`, or the reader's if there are none."""
        return readers if self.mean is None else PixelScale.normalising(self.mean, self.std)

    def turns(self, training: bool) -> int:
        """How many classes are made of one, by turning and mirroring it."""
        if training and self.reflection:
            return 8
        return 4 if (self.rotation if training else self.rotation_test) else 1

    @property
    def compares(self) -> bool:
        """Whether the algorithm compares with the support set instead of taking inner steps."""
        return self.algorithm in ("proto_net", "matching_net", "siamese", "nearest_neighbor")

    @property
    def pretrains(self) -> bool:
        """Whether it is trained to tell all training classes apart, and needs their numbers."""
        return self.loss != "mse" and self.algorithm in ("fine_tune", "nearest_neighbor")

    @property
    def own_network(self) -> bool:
        """Whether the network is one of the user's own."""
        return "." in self.network

    @property
    def embeds(self) -> bool:
        """Whether it makes do with features, and with batch norm by running statistics."""
        return self.compares or self.pretrains

    def _check(self):
        positive = ("n_way", "k_spt", "k_query", "tasks_per_epoch", "imgsize", "bn_channel")
        for name in positive:
            if getattr(self, name) < 1:
                _refuse(name, getattr(self, name), "1 or more")
        annealing = "maml_pp__multi_step_epochs", "maml_pp__first_order_epochs"
        for name in ("update_step", "update_step_test", "split_seed", "min_images", *annealing):
            if getattr(self, name) < 0:
                _refuse(name, getattr(self, name), "0 or more")
        for optimizer in ("base_optimizer", "meta_optimizer"):
            for key in ("learning_rate", "clip", "clip_norm"):
                value = getattr(self, f"{optimizer}__{key}")
                if value is not None and not 0 < value < math.inf:
                    _refuse(f"{optimizer}__{key}", value, "a number above 0")
            norm = getattr(self, f"{optimizer}__clip_norm")
            if norm is not None and getattr(self, f"{optimizer}__clip") is not None:
                wanted = f"no value beside {_PREFIX}{optimizer}.clip: give one of them"
                _refuse(f"{optimizer}__clip_norm", norm, wanted)
        self._check_images()
        if self.k_query_test is not None and self.k_query_test < 1:
            _refuse("k_query_test", self.k_query_test, "1 or more")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                _refuse(name, getattr(self, name), " or ".join(map(str, choices)))
        if not self.own_network and self.network not in ("conv4", "mlp"):
            _refuse("network", self.network, "conv4, mlp or the MODULE.NAME of one of your own")
        if not all(part.isidentifier() for part in self.network.split(".")):
            _refuse("network", self.network, "names with dots between them, as networks.mine.Net")
        if self.own_network and self.embeds:
            wanted = f"conv4 or mlp where algorithm is {self.algorithm}, which compares features"
            _refuse("network", self.network, wanted)
        if self.imgsize > _MOST_PIXELS:
            _refuse("imgsize", self.imgsize, f"{_MOST_PIXELS} or less")
        if self.network == "conv4" and self.conv_stride == 1 and self.imgsize < 16:
            _refuse("imgsize", self.imgsize, "16 or more where conv4 pools (conv_stride: 1)")
        if self.algorithm in ("maml_pp", "reptile") and self.update_step < 1:
            _refuse(
                "update_step", self.update_step, f"1 or more where algorithm is {self.algorithm}"
            )
        if self.n_way < 2:
            _refuse("n_way", self.n_way, "2 or more")
        if not self.hidden or any(type(units) is not int or units < 1 for units in self.hidden):
            _refuse("hidden", self.hidden, "whole numbers from 1, as [40, 40]")
        if self.loss == "mse" and self.network != "mlp":
            _refuse("network", self.network, "mlp where loss is mse")
        if self.loss != "mse" and self.oracle:
            _refuse("oracle", self.oracle, "false where loss is not mse")
        if self.loss == "mse" and self.compares:
            _refuse("algorithm", self.algorithm, "one that takes inner steps where loss is mse")
        if self.pretrains and (self.pretrain_classes or 0) < 1:
            wanted = "the number of training classes, times 4 with rotation, 8 with reflection"
            _refuse("pretrain_classes", self.pretrain_classes, wanted)

    def _check_images(self):
        if self.reflection and not self.rotation:
            _refuse("reflection", self.reflection, "false where rotation is false")
        if not 0 <= self.augmentation__padding < self.imgsize:
            _refuse("augmentation__padding", self.augmentation__padding, "pixels from 0 to imgsize")
        for name in ("augmentation__brightness", "augmentation__contrast"):
            if not 0 <= getattr(self, name) <= 1:
                _refuse(name, getattr(self, name), "a number from 0 to 1")
        if self.split is not None and not _are_shares(self.split):
            wanted = "shares of training, validation and test, 0 or from 0.01, that add up to 1"
            _refuse("split", self.split, f"{wanted}, as [0.6, 0.2, 0.2]")
        if (self.mean is None) != (self.std is None):
            name, other = ("mean", "std") if self.std is None else ("std", "mean")
            raise UserError(f"{_PREFIX}{name} goes with {_PREFIX}{other}: give both, or neither.")
        for name, least in (("mean", 0), ("std", 1e-6)):
            numbers = getattr(self, name)
            if numbers is not None and not _numbers(numbers, self.channels, least):
                wanted = f"a list of {self.channels}, one per channel"
                _refuse(name, numbers, f"{wanted}, of brightness from 0 to 1 (not to 255)")


def _are_shares(values):
    return (
        _numbers(values, 3, least=0)
        and abs(sum(values) - 1) < 1e-6
        and not any(0 < value < 0.01 for value in values)
    )


def _numbers(values, count, least):
    """Whether these are `count` numbers from `least` to 1."""
    return len(values) == count and all(
        type(value) in (int, float) and least <= value <= 1 for value in values
    )


_CHOICES = {
    "algorithm": (
        *("maml", "fomaml", "anil", "boil", "meta_sgd", "maml_pp", "reptile"),
        *("proto_net", "matching_net", "siamese", "fine_tune", "nearest_neighbor"),
    ),
    "loss": ("cross_entropy", "mse"),
    "order": (2, 1),
    "query_set": ("disjoint", "support"),
    "rotation_of": ("class", "task"),
    "channels": (1, 3),
    "fit": ("stretch", "crop"),
    "conv_stride": (1, 2),
    "conv_padding": (1,),
    "conv_kernal": ([3, 3],),
    "base_optimizer__class": ("SGD",),
    "meta_optimizer__class": ("Adam",),
    "meta_optimizer__decay": ("none", "cosine"),
}
_TYPES = {"int": int, "float": float, "bool": bool, "str": str, "list": list}


def _typed(key, value, field):
    name, *optional = field.type.split(" | ")
    kind = _TYPES[name]
    if kind in (int, float) and type(value) is int and abs(value) > _MOST:
        raise UserError(f"{key} is {value}: it takes a number from {-_MOST} to {_MOST}.")
    if kind is float and type(value) is int:
        return float(value)
    if value is None and optional:
        return None
    if type(value) is not kind:
        hint = ""
        if kind is float and isinstance(value, str):
            hint = " (YAML reads 1e-3 as text: write 0.001 or 1.0e-3)"
        raise UserError(f"{key} is {value!r}: it takes {_NAMES[kind]}{hint}.")
    return value


_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    list: "a list",
}


def _refuse(field, value, wanted):
    raise UserError(f"{_PREFIX}{field.replace('__', '.')} is {value!r}: it takes {wanted}.")
