"""How unlike its training images an image is, from the network's pooled features. No torch.

Scaled to length 1, the features of images like those it was trained on lie near a subspace of few dimensions; a
photograph, a page of text or noise lies off it, another hospital's head much less so. The distance is the residual of
ViM (https://arxiv.org/abs/2203.10807), without its logit.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from trainer.runtime.records import FloatArray


@dataclass(frozen=True)
class TrainingSubspace:
    """Where the features of the training images lie.

    Attributes:
        mean: `(f,)` float32, of the features scaled to length 1.
        components: `(k, f)` float32, orthonormal rows.
    """

    mean: FloatArray
    components: FloatArray

    def distances(self, features: FloatArray) -> FloatArray:
        """Distance `(n,)` of features `(n, f)`, scaled to length 1, to the subspace: 0 to 2, in practice below 1."""
        length = np.linalg.norm(features, axis=1, keepdims=True)
        centred = features / np.maximum(length, 1e-12) - self.mean
        off = centred - (centred @ self.components.T) @ self.components
        return np.asarray(np.linalg.norm(off, axis=1), np.float32)

    def write(self, path: Path) -> None:
        """Write both arrays in half precision."""
        np.savez(path, mean=self.mean.astype(np.float16), components=self.components.astype(np.float16))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read them back.

        Raises:
            ValueError: the file holds something else.
            OSError: it cannot be read.
        """
        with np.load(path, allow_pickle=False) as found:
            if sorted(found.files) != ["components", "mean"]:
                raise ValueError(f"it holds {sorted(found.files)} instead of components and mean")
            mean, components = (_numbers(found[name]) for name in ("mean", "components"))
        if mean.ndim != 1 or components.ndim != 2 or components.shape[1] != len(mean):
            raise ValueError(f"its arrays are {mean.shape} and {components.shape} instead of (f,) and (k, f)")
        if not (np.isfinite(mean).all() and np.isfinite(components).all()):
            raise ValueError("its numbers are not all finite")
        return cls(mean, components)


def _numbers(array: object) -> FloatArray:
    """NumPy hands out what is no array as bytes, and refuses objects (`allow_pickle`) by itself."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise ValueError("it holds something else than floating-point numbers")
    return array.astype(np.float32)
