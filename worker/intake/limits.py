"""How much one input may cost, as docs/limits.md says."""

from dataclasses import dataclass

MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True)
class IntakeLimits:
    """Bounds that are checked before memory is allocated for an input.

    Attributes:
        max_file_bytes: largest single file that is read into memory: 1,000 frames of 512 × 512 pixels of 16 bits.
        max_pixels: rows times columns of one picture. A 4K screenshot has 8 million; Pillow's own limits let 81 million
            pixels through, 243 MB as RGB.
        min_side_px: shortest side that is read. The smallest matrix of real head scans in our test data has 64.
        max_frames: claimed NumberOfFrames of a DICOM object.
        max_inflated_bytes: bytes a deflated DICOM data set may inflate to (PS3.5 A.5).
        max_inflate_ratio: inflated bytes per deflated byte above `inflate_free_bytes`; 117 real MR files deflate
            3:1 in the median and 98:1 at most, an empty mask.
        inflate_free_bytes: below this size no ratio is looked at, for archives and deflated DICOM alike.
        max_elements: top-level elements of a DICOM header; a run of zero bytes reads as one element in eight bytes.
        max_study_files: files of one study.
        max_archive_entries: entries of one archive, folders included.
        max_archive_bytes: bytes of the archive file itself, and of its entries unpacked, each.
        max_archive_ratio: unpacked bytes per byte of the archive above `inflate_free_bytes`.
        max_file_seconds: to read a file of less than 2 MiB; `worker.file_cost` says more.
        max_file_memory_bytes: to read a file, beyond what the process has. 50 million pixels of floating point take
            1.4 GiB, 512 MiB of DICOM 1.0 GiB.
    """

    max_file_bytes: int = 512 * MIB
    max_pixels: int = 50_000_000
    min_side_px: int = 64
    max_frames: int = 4096
    max_inflated_bytes: int = 256 * MIB
    max_inflate_ratio: int = 200
    inflate_free_bytes: int = 16 * MIB
    max_elements: int = 20_000
    max_study_files: int = 20_000
    max_archive_entries: int = 20_000
    max_archive_bytes: int = 4 * GIB
    max_archive_ratio: int = 200
    max_file_seconds: float = 5.0
    max_file_memory_bytes: int = 2_000_000 * 1024


DEFAULT_LIMITS = IntakeLimits()
