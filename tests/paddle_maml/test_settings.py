"""The hyper-parameters: what is accepted, what is refused and with which sentence."""

from __future__ import annotations

import pytest
from dygraph_model import DygraphModel
from paddle import nn
from paddle_maml.errors import UserError
from paddle_maml.settings import Settings

PADDLEREC = {
    "meta_optimizer.class": "Adam",
    "meta_optimizer.learning_rate": 0.001,
    "meta_optimizer.strategy": "async",
    "base_optimizer.class": "SGD",
    "base_optimizer.learning_rate": 0.1,
    "base_optimizer.strategy": "async",
    "update_step": 5,
    "update_step_test": 5,
    "n_way": 5,
    "k_spt": 1,
    "k_query": 15,
    "imgsize": 28,
    "conv_stride": 1,
    "conv_padding": 1,
    "conv_kernal": [3, 3],
    "bn_channel": 64,
}


def settings(**values) -> Settings:
    return Settings.from_config({f"hyper_parameters.{k}": v for k, v in values.items()})


def test_paddlerec_maml_keys_are_in_force():
    config = {f"hyper_parameters.{name}": value for name, value in PADDLEREC.items()}
    found = Settings.from_config(config)
    for name, value in PADDLEREC.items():
        assert getattr(found, name.replace(".", "__")) == value
    maml = DygraphModel().create_model(config)
    optimizer = DygraphModel().create_optimizer(maml, config)
    assert (maml.inner_lr, maml.inner_steps, maml.order) == (0.1, 5, 2)
    assert optimizer.get_lr() == 0.001
    layers = maml.net.sublayers()
    assert sum(isinstance(layer, nn.MaxPool2D) for layer in layers) == 4
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2D)]
    assert [c.weight.shape[0] for c in convolutions] == [64] * 4
    assert maml.net.classifier.weight.shape == [64, 5]


def test_other_sections_are_ignored():
    assert Settings.from_config({"runner.nonsense": 1}) == Settings()


def test_whole_numbers_may_stand_for_reals():
    assert settings(**{"base_optimizer.learning_rate": 2}).base_optimizer__learning_rate == 2.0
    assert type(settings(**{"meta_optimizer.clip": 10}).meta_optimizer__clip) is float


def test_queries_of_evaluation_follow_training_unless_given():
    assert settings(k_query=7).query(training=False) == 7
    assert settings(k_query=7, k_query_test=9).query(training=False) == 9
    assert settings(k_query=7, k_query_test=9).query(training=True) == 7


@pytest.mark.parametrize("algorithm", ["fomaml", "reptile"])
def test_some_are_first_order(algorithm):
    assert settings(algorithm=algorithm).order == 1


@pytest.mark.parametrize("algorithm", ["maml_pp", "reptile"])
def test_some_need_an_inner_step(algorithm):
    with pytest.raises(
        UserError, match=f"update_step is 0: it takes 1 or more where algorithm is {algorithm}"
    ):
        settings(algorithm=algorithm, update_step=0)


@pytest.mark.parametrize(
    ("chosen", "training", "test"),
    [
        ({"rotation": False}, 1, 1),
        ({"rotation": False, "rotation_test": True}, 1, 4),
        ({"rotation": True}, 4, 1),
        ({"rotation": True, "reflection": True, "rotation_test": True}, 8, 4),
    ],
)
def test_how_many_classes_are_made_of_one(chosen, training, test):
    assert (settings(**chosen).turns(True), settings(**chosen).turns(False)) == (training, test)


def test_no_mirror_images_of_what_is_not_turned():
    with pytest.raises(UserError, match="reflection is True: it takes false where rotation is"):
        settings(rotation=False, reflection=True)


@pytest.mark.parametrize("optimizer", ["base_optimizer", "meta_optimizer"])
def test_gradients_are_cut_in_one_way(optimizer):
    with pytest.raises(UserError, match=f"clip_norm is 1.0: .*{optimizer}.clip: give one of them"):
        settings(**{f"{optimizer}.clip": 10.0, f"{optimizer}.clip_norm": 1.0})


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("n_ways", 5, "unknown key .*n_ways: did you mean hyper_parameters.n_way?"),
        ("base_optimizer.lr", 1.0, "unknown key hyper_parameters.base_optimizer.lr: "),
        ("xyzzy", 5, "unknown key .*xyzzy: known: n_way, "),
        ("n_way", "five", "n_way is 'five': it takes a whole number"),
        ("n_way", 5.0, "it takes a whole number"),
        ("n_way", True, "it takes a whole number"),
        ("rotation", 1, "it takes true or false"),
        ("rotation_of", "image", "rotation_of is 'image': it takes class or task"),
        ("conv_kernal", 3, "it takes a list"),
        ("base_optimizer.learning_rate", "1e-3", "write 0.001 or 1.0e-3"),
        ("base_optimizer.learning_rate", 0, "it takes a number above 0"),
        ("base_optimizer.learning_rate", float("nan"), "it takes a number above 0"),
        ("base_optimizer.learning_rate", 10**400, "it takes a number from -2147483647 to 2"),
        (
            "tasks_per_epoch",
            2**31,
            "it takes a number from -2147483647 to 2147483647",
        ),
        ("imgsize", 4097, "imgsize is 4097: it takes 4096 or less"),
        ("n_way", 1, "it takes 2 or more"),
        ("k_spt", 0, "it takes 1 or more"),
        ("k_query_test", 0, "it takes 1 or more"),
        ("query_set", "train", "it takes disjoint or support"),
        ("meta_optimizer.clip", 0, "it takes a number above 0"),
        ("base_optimizer.learning_rate", float("inf"), "it takes a number above 0"),
        ("base_optimizer.clip_norm", -1.0, "base_optimizer.clip_norm is -1.0: it takes a number"),
        ("meta_optimizer.clip", "ten", "meta_optimizer.clip is 'ten': it takes a number"),
        ("update_step", -1, "it takes 0 or more"),
        ("order", 3, "it takes 2 or 1"),
        ("conv_kernal", [5, 5], r"it takes \[3, 3\]"),
        ("hidden", [40, 0], r"hidden is \[40, 0\]: it takes whole numbers from 1"),
        ("loss", "mse", "network is .conv4.: it takes mlp where loss is mse"),
        ("oracle", True, "oracle is True: it takes false where loss is not mse"),
        (
            "algorithm",
            "fine_tune",
            "pretrain_classes is None: it takes the number of",
        ),
        ("fit", "pad", "fit is 'pad': it takes stretch or crop"),
        ("min_images", -1, "it takes 0 or more"),
        ("split", [0.5, 0.2, 0.2], "that add up to 1, as"),
        ("split", [0.8, 0.2], "shares of training, validation and test"),
        ("split", [1.2, -0.1, -0.1], "shares of training, validation and test"),
        ("split", [0.999, 0.0005, 0.0005], "0 or from 0.01"),
        ("split", [60, 20, 20], "shares of training, validation and test"),
        ("split_seed", -1, "it takes 0 or more"),
        ("mean", [0.5], "mean goes with hyper_parameters.std: give both, or neither"),
        ("std", [0.5], "std goes with hyper_parameters.mean"),
        ("augmentation.padding", 28, "it takes pixels from 0 to imgsize"),
        ("augmentation.padding", -1, "it takes pixels from 0 to imgsize"),
        ("augmentation.brightness", 1.5, "it takes a number from 0 to 1"),
        ("augmentation.contrast", -0.5, "it takes a number from 0 to 1"),
        ("augmentation.flips", True, "did you mean hyper_parameters.augmentation.flip?"),
        ("meta_optimizer.class", "Sgd", "meta_optimizer.class is 'Sgd': it takes Adam"),
    ],
)
def test_refused(key, value, sentence):
    with pytest.raises(UserError, match=sentence):
        settings(**{key: value})


@pytest.mark.parametrize(
    ("mean", "std", "sentence"),
    [
        ([0.5, 0.5], [0.2, 0.2], r"mean is \[0.5, 0.5\]: it takes a list of 3, one per channel"),
        ([123.675, 116.28, 103.53], [0.2] * 3, r"brightness from 0 to 1 \(not to 255\)"),
        ([0.5] * 3, [58.395, 57.12, 57.375], r"std is .* brightness from 0 to 1 \(not to 255\)"),
        ([0.5] * 3, [0.2, 0, 0.2], "std is "),
        ([0.5] * 3, [0.2, "0.2", 0.2], "std is "),
    ],
)
def test_what_normalises_is_a_number_per_channel(mean, std, sentence):
    with pytest.raises(UserError, match=sentence):
        settings(channels=3, mean=mean, std=std)
