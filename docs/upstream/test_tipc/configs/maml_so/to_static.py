"""Export the network of maml_so for paddle_infer.py; the keys are those of tools/to_static.py."""

import argparse
import os
import sys

os.environ["FLAGS_enable_pir_api"] = "0"  # paddle_infer.py looks for a .pdmodel

import paddle

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools"))

from utils.save_load import load_model
from utils.utils_single import get_abs_model, load_dy_model_class, load_yaml


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--config_yaml", required=True)
    parser.add_argument("-o", "--opt", nargs="*", default=[])
    arguments = parser.parse_args()
    config = load_yaml(get_abs_model(arguments.config_yaml))
    config.update(override.split("=", 1) for override in arguments.opt)
    model_class = load_dy_model_class(os.path.dirname(os.path.abspath(arguments.config_yaml)))
    paddle.set_device("cpu")
    model = model_class.create_model(config)
    load_model(config["runner.model_init_path"], model)
    model.eval()
    layer, input_spec, _ = model_class.export(model, config)
    paddle.jit.save(layer, os.path.join(config["runner.model_save_path"], "tostatic"), input_spec)


if __name__ == "__main__":
    main()
