"""metrics.json of a model folder: how good the model was found to be on Val, and how honest that figure is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from trainer.figure_records import Figures
from trainer.runtime.bundle import CALIBRATION, METRICS, WEIGHTS, ModelFolderError, Protocol, write_json


@dataclass(frozen=True)
class Metrics:
    """Figures of one model, bound to its weights and its calibration.

    Attributes:
        model: version.
        weights_sha256: of the weights that were measured.
        calibration_sha256: of calibration.json then.
        engine: what ran them.
        images_per_second: of the predictor, decoding not counted.
        protocol: what `val` is worth.
        trained_look_alikes_of_val: how many images trained on look like a Val image, of those that were found; `None`
            without a Train folder.
        training_files_not_found: how many images trained on are not in Train, by name and sum: 0 unless `UNCHECKED`.
        val: of all of Val.
        val_unseen: of the Val images that no image trained on looks like; `None` where there are none, or where not
            every image trained on was found.
        val_clean: of the Val images that nothing in Train looks like; `None` where there are none, or no Train folder.
    """

    model: str
    weights_sha256: str
    calibration_sha256: str
    engine: str
    images_per_second: float
    protocol: Protocol
    trained_look_alikes_of_val: int | None
    training_files_not_found: int
    val: Figures
    val_unseen: Figures | None
    val_clean: Figures | None

    @property
    def leak_free(self) -> Figures | None:
        """The figures on images unlike any the model was trained on; `None` where that is not known."""
        return self.val if self.protocol is Protocol.LEAK_FREE else self.val_unseen

    def is_of(self, files: Mapping[str, str]) -> bool:
        """Whether they were measured with the files of a manifest."""
        return (self.weights_sha256, self.calibration_sha256) == (files[WEIGHTS], files[CALIBRATION])

    def as_json(self) -> dict[str, object]:
        """What metrics.json holds."""
        return {
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "calibration_sha256": self.calibration_sha256,
            "engine": self.engine,
            "images_per_second": self.images_per_second,
            "protocol": self.protocol,
            "trained_look_alikes_of_val": self.trained_look_alikes_of_val,
            "training_files_not_found": self.training_files_not_found,
            "val": self.val.as_json(),
            "val_unseen": self.val_unseen and self.val_unseen.as_json(),
            "val_clean": self.val_clean and self.val_clean.as_json(),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read it back.

        Raises:
            KeyError, TypeError, ValueError: something is missing, or not what it should be.
        """
        look_alikes = found["trained_look_alikes_of_val"]
        return cls(
            str(found["model"]),
            str(found["weights_sha256"]),
            str(found["calibration_sha256"]),
            str(found["engine"]),
            float(found["images_per_second"]),
            Protocol(found["protocol"]),
            None if look_alikes is None else int(look_alikes),
            int(found["training_files_not_found"]),
            Figures.from_json(found["val"]),
            found["val_unseen"] and Figures.from_json(found["val_unseen"]),
            found["val_clean"] and Figures.from_json(found["val_clean"]),
        )

    def write(self, folder: Path) -> None:
        """Write metrics.json into a model folder."""
        write_json(folder / METRICS, self.as_json())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read them back.

        Raises:
            ModelFolderError: the model was never measured, or metrics.json is broken or of another version.
        """
        path = folder / METRICS
        measure = "measure the model with `python -m trainer.evaluate --write`"
        try:
            return cls.from_json(json.loads(path.read_text()))
        except FileNotFoundError as error:
            raise ModelFolderError(f"{path} is missing: {measure}.") from error
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ModelFolderError(f"{path} does not hold this version's figures ({error!r}): {measure}.") from error
