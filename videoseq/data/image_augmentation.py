"""Images as they might have been: mirrored, in another light, a little nearer; all those of a clip in the same way.

A change is drawn for a clip and a pass, never for one image: otherwise the model would learn camera motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

_GRAY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
_MIDDLE = 127.5  # contrast turns about it, and not about a image's own mean, which changes from frame to frame


@dataclass(frozen=True)
class ImageChange:
    """What all images of a clip undergo in one pass.

    Attributes:
        is_mirrored: Left to right.
        brightness: What gray levels are multiplied by.
        contrast: What their distance to the middle of the scale is.
        saturation: What their distance to the pixel's gray is.
        window: The part that is kept and stretched over the whole image: top, left, height, width as shares of it.
    """

    is_mirrored: bool = False
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def __call__(self, images: UInt8[Tensor, "images 3 height width"]) -> UInt8[Tensor, "images 3 height width"]:
        """The images changed; those given stay as they are."""
        if self.window[2:] != (1.0, 1.0):
            images = self._cut(images)
        if (self.brightness, self.contrast, self.saturation) != (1.0, 1.0, 1.0):
            images = self._colored(images.float()).round_().clamp_(0, 255).to(torch.uint8)
        return images.flip(-1) if self.is_mirrored else images

    def _cut(self, images: UInt8[Tensor, "images 3 height width"]) -> UInt8[Tensor, "images 3 height width"]:
        size = images.shape[2:]
        rows, columns = (max(1, round(share * number)) for share, number in zip(self.window[2:], size, strict=True))
        top, left = round(self.window[0] * size[0]), round(self.window[1] * size[1])
        kept = images[:, :, top : top + rows, left : left + columns]
        return nn.functional.interpolate(kept, size=size, mode="bilinear", antialias=True, align_corners=False)

    def _colored(self, levels: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images 3 height width"]:
        gray = (levels * levels.new_tensor(_GRAY).view(3, 1, 1)).sum(dim=1, keepdim=True)
        saturated = gray + self.saturation * (levels - gray)
        return self.brightness * (_MIDDLE + self.contrast * (saturated - _MIDDLE))


@dataclass(frozen=True)
class ImageAugmentation:
    """What is drawn for a clip, again in every pass.

    Attributes:
        flip: Whether every second clip is mirrored.
        color_jitter: Brightness, contrast and saturation are multiplied by 1 − jitter to 1 + jitter each.
        crop: Up to this share of the height, and of the width, is cut off, at whichever sides.
    """

    flip: bool = False
    color_jitter: float = 0.0
    crop: float = 0.0

    def draw(self, generator: np.random.Generator) -> ImageChange:
        """One change."""
        is_mirrored = bool(generator.random() < 0.5) and self.flip
        brightness, contrast, saturation = 1 + self.color_jitter * generator.uniform(-1, 1, size=3)
        height, width = 1 - self.crop * generator.random(2)
        top, left = (1 - height) * generator.random(), (1 - width) * generator.random()
        window = (float(top), float(left), float(height), float(width))
        return ImageChange(is_mirrored, float(brightness), float(contrast), float(saturation), window)
