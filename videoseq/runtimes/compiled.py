"""A network compiled for this machine by torch's inductor (Ansel et al. 2024, ASPLOS)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from videoseq.errors import ConfigError, one_line
from videoseq.runtimes.devices import one_core


class CompiledNetwork:
    """The same network, faster after a minute's work; in other arithmetic, so that last digits differ.

    It is compiled for one number of images, to which calls are cut and filled up: any other would be compiled anew.

    Args:
        network: Images to features, in eval mode, on its device.
        example: Images as it will get them, as many as at once.

    Raises:
        ConfigError: On construction, where it cannot be compiled.
    """

    def __init__(self, network: nn.Module, example: Float[Tensor, "batch 3 height width"]) -> None:
        self._batch_images = len(example)
        self._network = torch.compile(network, dynamic=False)
        try:
            self._compile(example)
        except RuntimeError as error:  # all of torch._dynamo's and the inductor's are
            reason = one_line(str(error).strip().partition("\n")[0])
            raise ConfigError(
                f"compile: torch could not compile the CNN here ({reason}); on a CPU it needs a C++ compiler and "
                "Python's headers; leave out --compile"
            ) from None

    def _compile(self, example: Float[Tensor, "batch 3 height width"]) -> None:
        from torch._inductor import config  # imports a second's worth, which only this needs

        # Weights are constants, laid out as the convolutions like them best. A pool of compilers would stay behind.
        settings = config.patch(freezing=True, compile_threads=1)
        with settings, torch.inference_mode(), one_core():  # as it will be called: what differs is compiled anew
            self(example)

    def __call__(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Features, in the network's number format."""
        features = []
        for part in torch.split(images, self._batch_images):
            filled = pad(part, (0, 0, 0, 0, 0, 0, 0, self._batch_images - len(part)))
            features.append(self._network(filled.contiguous(memory_format=torch.channels_last))[: len(part)])
        return torch.cat(features)
