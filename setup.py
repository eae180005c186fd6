"""Install the library: pip install -e ".[cpu]"."""

from setuptools import find_packages, setup

REPORT = ["matplotlib>=3.7,<4"]
VISUAL = ["visualdl>=2.5,<3"]
SAFETENSORS = ["safetensors>=0.4,<1"]
DEMO = ["flask>=2.2.5,<4", "waitress>=3.0.1,<4"]
TEST = ["pytest>=7,<10", "hypothesis>=6,<7", "pytest-cov>=5,<8", "ruff>=0.6,<1", "griffe>=1.8,<3"]
TEST += ["playwright>=1.40,<2", *REPORT, *VISUAL, *SAFETENSORS, *DEMO]

PACKAGE = "models/maml/paddle_maml"

setup(
    name="paddle-maml",
    version="0.1.0",
    description="Exact second-order MAML for PaddlePaddle",
    python_requires=">=3.9",
    # Named one by one: {"": "models/maml"}, installed with -e, would put this dygraph_model.py
    # before those of the model directories that PaddleRec's tools append to Python's path.
    package_dir={"paddle_maml": PACKAGE},
    packages=["paddle_maml", *(f"paddle_maml.{name}" for name in find_packages(PACKAGE))],
    package_data={"paddle_maml.batched.native": ["*.h", "*.cpp"]},
    install_requires=["numpy>=1.21,<3", "pyyaml>=5.4,<7", "Pillow>=9.1,<14", "tqdm>=4.60,<5"],
    extras_require={
        "cpu": ["paddlepaddle>=2.6.2,<3.4"],
        "gpu": ["paddlepaddle-gpu>=2.6.2,<3.4", "numpy<2", "setuptools"],
        "report": REPORT,
        "visual": VISUAL,
        "safetensors": SAFETENSORS,
        "demo": DEMO,
        "test": TEST,
        "dev": TEST,
    },
)
