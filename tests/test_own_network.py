"""A network of the user's own, by its name: what is made of it, and what is refused."""

from __future__ import annotations

import textwrap

import paddle
import pytest
from dygraph_model import DygraphModel
from paddle_maml.errors import UserError

NETS = """
    import random
    import paddle
    from paddle import nn

    class Flat(nn.Layer):
        def __init__(self, n_way, channels, imgsize, function=lambda x: x):
            super().__init__()
            self.linear = nn.Linear(channels * imgsize**2, n_way)
            self.norm, self.function = nn.BatchNorm1D(n_way), function
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return self.function(self.norm(self.linear(self.drop(x.flatten(1)))))

    def impossible(**known):
        return Flat(**known, function=lambda x: paddle.i0(x) * paddle.linalg.svd(x)[1].sum())

    def too_many(n_way, **known):
        return Flat(n_way + 1, **known)

    def turned(**known):
        return Flat(**known, function=lambda x: x.t())

    def two(**known):
        return Flat(**known, function=lambda x: (x, x))

    def frozen(**known):
        net = Flat(**known)
        for p in net.parameters():
            p.stop_gradient = True
        return net

    def nothing(n_way, channels, imgsize):
        pass

    def other_names(way, side):
        return Flat(way, 1, side)

    number = 5
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("own")
    (directory / "own_nets.py").write_text(textwrap.dedent(NETS))
    (directory / "own_nets_that_import.py").write_text("import no_such_module")
    return directory


@pytest.fixture
def config(directory):
    """config(network, **hyper_parameters)"""

    def of(network, **more):
        return {
            "config_abs_dir": str(directory),
            "runner.train_batch_size": 2,
            "runner.epochs": 1,
            "hyper_parameters.n_way": 3,
            "hyper_parameters.imgsize": 4,
            "hyper_parameters.network": network,
            **{f"hyper_parameters.{name}": value for name, value in more.items()},
        }

    return of


def create(config):
    """The model, and its optimizer as before a training."""
    model_class = DygraphModel()
    model = model_class.create_model(config)
    return model, model_class.create_optimizer(model, config)


def test_it_gets_what_it_needs_to_know(config):
    paddle.seed(0)
    model, _ = create(config("own_nets.Flat", channels=3))
    assert model.net.linear.weight.shape == [3 * 4 * 4, 3] and model.order == 2
    assert DygraphModel().title(config("own_nets.Flat")).endswith("MAML on own_nets.Flat")


def test_looking_at_it_changes_nothing(config):
    """Neither its running statistics nor what is drawn at random."""
    drawn = []
    for network in ("own_nets.Flat", None):
        paddle.seed(3)
        if network:
            model, _ = create(config(network))
        else:
            paddle.nn.Linear(16, 3)
        drawn.append(paddle.rand([4]).tolist())
    assert drawn[0] == drawn[1]
    assert (model.net.norm._mean.numpy() == 0).all() and (
        model.net.norm._variance.numpy() == 1
    ).all()


REFUSALS = {
    "own_nets_.Flat": "there is no module own_nets_ in the model directory or in ",
    "own_nets.inner.Flat": "there is no module own_nets.inner in",
    "own_nets.Wide": "own_nets.py has no function or class Wide",
    "own_nets.number": "own_nets.py has no function or class number",
    "own_nets.nothing": "makes a NoneType: it has to return a paddle.nn.Layer",
    "own_nets.other_names": "is called with n_way, channels, imgsize: ",
    "own_nets.too_many": "gives outputs of shape [4, 4] for 4 images: it has to give logits of",
    "own_nets.turned": "gives outputs of shape [3, 4] for 4 images",
    "own_nets.two": "gives a tuple for 4 images",
    "own_nets.frozen": "no trainable parameter",
    "own_nets.impossible": "impossible: Paddle cannot differentiate twice: svd (compute it outside",
    "own_nets": "is 'own_nets': it takes conv4, mlp or the MODULE.NAME of one of your own",
    "own_nets.": "is 'own_nets.': it takes names with dots between them",
    "networks.resnet12.ResNet12": "imgsize is 4: the poolings of ResNet-12 need 16",
}


@pytest.mark.parametrize("network", REFUSALS)
def test_refused(config, network):
    with pytest.raises(UserError) as error:
        create(config(network))
    assert REFUSALS[network] in str(error.value)


def test_all_impossible_operators_are_named_where_the_second_order_is_trained(config):
    with pytest.raises(UserError, match=r"svd \(.*i0 \(use another"):
        create(config("own_nets.impossible"))
    for more in ({"order": 1}, {"algorithm": "fomaml"}, {"algorithm": "reptile"}):
        create(config("own_nets.impossible", **more))
    DygraphModel().create_model(config("own_nets.impossible"))  # to meta-test it


def test_what_is_missing_inside_the_module_is_its_authors_to_see(config):
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        create(config("own_nets_that_import.Flat"))


@pytest.mark.parametrize("algorithm", ["proto_net", "siamese", "fine_tune", "nearest_neighbor"])
def test_algorithms_that_compare_features_refuse_it(config, algorithm):
    with pytest.raises(UserError, match=f"conv4 or mlp where algorithm is {algorithm}"):
        create(config("own_nets.Flat", algorithm=algorithm, pretrain_classes=9))


@pytest.mark.parametrize("algorithm", ["anil", "boil", "meta_sgd", "maml_pp", "reptile"])
def test_the_family_of_maml_takes_it(config, algorithm):
    more = {"algorithm": algorithm, "imgsize": 16, "channels": 1}
    model, optimizer = create(config("networks.resnet12.ResNet12", **more))
    assert model.net.classifier.weight.shape == [640, 3]
