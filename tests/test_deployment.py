"""What is exported of a model, in dynamic graph."""

from __future__ import annotations

import shutil

import numpy as np
import paddle
import pytest
from dygraph_model import DygraphModel
from paddle_maml import exported, load
from paddle_maml.errors import UserError
from paddle_maml.image_directory import load_image_classes
from paddle_maml.pixel_scale import INK
from PIL import Image

CONFIG = {
    "hyper_parameters.n_way": 3,
    "hyper_parameters.imgsize": 16,
    "hyper_parameters.bn_channel": 4,
    "hyper_parameters.update_step_test": 2,
}
SETTINGS = {
    "strided": {"hyper_parameters.conv_stride": 2},
    "pooled, in colour": {"hyper_parameters.conv_stride": 1, "hyper_parameters.channels": 3},
    "mlp": {"hyper_parameters.network": "mlp"},
}


@pytest.fixture
def support(tmp_path):
    """Three classes of one, two and three images."""
    rng = np.random.default_rng(0)
    for c, name in enumerate("xyz"):
        (tmp_path / name).mkdir()
        for i in range(c + 1):
            pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.bmp")
    return tmp_path


@pytest.fixture(params=SETTINGS)
def model(request):
    paddle.seed(0)
    config, model_class = {**CONFIG, **SETTINGS[request.param]}, DygraphModel()
    maml = model_class.create_model(config)
    maml.eval()
    return model_class, maml, config


def images(number, config):
    return paddle.rand([number, config.get("hyper_parameters.channels", 1), 16, 16])


def test_the_network_answers_as_the_unadapted_learner(model):
    model_class, maml, config = model
    layer, (spec,), description = model_class.export(maml, config)
    x = images(12, config)
    unadapted = maml.adapt(x, paddle.arange(12) % 3, steps=0)
    np.testing.assert_allclose(layer(x).numpy(), unadapted(x).numpy(), atol=1e-5)
    assert list(spec.shape) == [-1, *x.shape[1:]]
    assert description["batch_norm"] == "the batch at hand"


@pytest.mark.parametrize("steps", [None, 0, 5])
def test_the_classifier_is_the_learner_adapted_to_the_directory(model, support, steps):
    model_class, maml, config = model
    layer, _, description = model_class.export(maml, config, str(support), steps)
    channels = config.get("hyper_parameters.channels", 1)
    x = paddle.to_tensor(INK.values(load_image_classes(support, 16, channels).images))
    y = paddle.to_tensor([0, 1, 1, 2, 2, 2])
    learner = maml.adapt(x, y, steps=2 if steps is None else steps)
    np.testing.assert_allclose(layer(x).numpy(), learner(x).numpy(), atol=1e-4)
    query_x = images(3, config)
    expected = learner.standalone(x)(query_x).numpy()
    np.testing.assert_allclose(layer(query_x).numpy(), expected, atol=1e-5)
    assert description["classes"] == ["x", "y", "z"]
    assert description["support_images"] == [1, 2, 3]


def test_the_classifier_takes_images_on_the_scale_of_the_reader(support):
    config = {**CONFIG, **SETTINGS["pooled, in colour"]}
    config["runner.infer_reader_path"] = "mini_imagenet_reader"
    model_class = DygraphModel()
    maml = model_class.create_model(config)
    layer, _, description = model_class.export(maml, config, str(support), 2)
    x = paddle.to_tensor(load_image_classes(support, 16, 3).images.astype("float32") / 255)
    learner = maml.adapt(x, paddle.to_tensor([0, 1, 1, 2, 2, 2]), steps=2)
    expected = learner.standalone(x)(x).numpy()
    np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-4)
    assert description["image"] == {
        **{"side": 16, "channels": 3, "fit": "stretch"},
        **{"black": 0.0, "white": 1.0},
    }


def test_a_saved_classifier_reads_files_as_the_images_of_the_training_were_read(support, tmp_path):
    config = {**CONFIG, **SETTINGS["pooled, in colour"], "hyper_parameters.fit": "crop"}
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    config |= {"hyper_parameters.mean": mean, "hyper_parameters.std": std}
    model_class = DygraphModel()
    maml = model_class.create_model(config)
    exported.write(tmp_path / "saved", model_class.export(maml, config, str(support), 2))
    wide = np.random.default_rng(0).integers(0, 256, (16, 40, 3), np.uint8)
    Image.fromarray(wide).save(tmp_path / "wide.bmp")
    (found,) = load(tmp_path / "saved").read(tmp_path / "wide.bmp")
    mean, std = (np.reshape(numbers, (3, 1, 1)) for numbers in (mean, std))
    expected = (wide[:, 12:28].transpose(2, 0, 1) / 255 - mean) / std
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


ALGORITHMS = ("proto_net", "matching_net", "siamese", "fine_tune", "nearest_neighbor")


@pytest.fixture(params=ALGORITHMS)
def embedding(request):
    """An algorithm that makes do with features, of other running statistics than at the start."""
    paddle.seed(0)
    config = {**CONFIG, **SETTINGS["strided"], "hyper_parameters.pretrain_classes": 7}
    config["hyper_parameters.algorithm"] = request.param
    model_class = DygraphModel()
    model = model_class.create_model(config)
    model.embedding(images(20, config))
    model.eval()
    return model_class, model, config


def saved(export, directory, x):
    """What Paddle Inference makes of `x`."""
    exported.write(directory, export)
    (found,) = exported.run(exported.predictor(directory), [x.numpy()])
    return found


def test_an_embedding_is_exported_with_its_running_statistics(embedding, tmp_path):
    model_class, model, config = embedding
    x = images(3, config)
    found = saved(model_class.export(model, config), tmp_path / "export", x)
    np.testing.assert_allclose(found, model.embedding(x).numpy(), atol=1e-5)


def test_a_comparison_is_exported_with_its_support_set(embedding, support, tmp_path):
    """Here of four classes, for which the network needs no training anew."""
    model_class, model, config = embedding
    (support / "w").mkdir()
    Image.new("L", (16, 16)).save(support / "w/0.bmp")
    export = model_class.export(model, config, str(support))
    x = paddle.to_tensor(INK.values(load_image_classes(support, 16, 1).images))
    y = paddle.to_tensor([0, 1, 2, 2, 3, 3, 3])
    query_x = images(5, config)
    found = saved(export, tmp_path / "export", query_x)
    expected = model.adapt(x, y, 2)(query_x).numpy()
    assert found.shape == (5, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    steps = {"inner_steps": 2} if config["hyper_parameters.algorithm"] == "fine_tune" else {}
    assert export.description.items() >= steps.items()
    assert ("inner_steps" in export.description) == bool(steps)
    assert export.description["batch_norm"] == "the running statistics of the training"


def test_another_number_of_classes_is_refused(model, support):
    model_class, maml, config = model
    (support / "w").mkdir()
    Image.new("L", (16, 16)).save(support / "w/0.bmp")
    with pytest.raises(UserError, match="has 4 classes but the network tells .*n_way = 3 apart"):
        model_class.export(maml, config, str(support))


def test_of_fewer_classes_the_others_outputs_are_left_out(model, support):
    model_class, maml, config = model
    for image in (support / "z").iterdir():
        image.unlink()
    layer, _, description = model_class.export(maml, config, str(support), 2)
    channels = config.get("hyper_parameters.channels", 1)
    x = paddle.to_tensor(INK.values(load_image_classes(support, 16, channels).images))
    learner = maml.adapt(x, paddle.to_tensor([0, 1, 1]), steps=2)
    np.testing.assert_allclose(layer(x).numpy(), learner(x)[:, :2].numpy(), atol=1e-4)
    assert description["classes"] == ["x", "y"]


def test_an_image_in_no_class_folder_and_a_single_class_are_refused(model, support):
    model_class, maml, config = model
    Image.new("L", (16, 16)).save(support / "stray.bmp")
    with pytest.raises(UserError, match="stray.bmp lies in no class folder: move it"):
        model_class.export(maml, config, str(support))
    (support / "stray.bmp").unlink()
    for name in "yz":
        shutil.rmtree(support / name)
    with pytest.raises(UserError, match="has only the class x: add a folder of another class"):
        model_class.export(maml, config, str(support))
