"""What has to happen before Paddle is imported."""

import warnings
import zlib  # noqa: F401  paddle 2.6 exports a zlib of its own, which Pillow's PNG decoder refuses

# Of no use to who trains a model, and in front of every message that is.
warnings.filterwarnings("ignore", message="No ccache found")
warnings.filterwarnings("ignore", message="When training, we now always track")
