"""Images per second from inbox to PDF, against a naive loop on the same images (see benchmarks/README.md)."""

import argparse
import contextlib
import io
import os
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from rich.console import Console
from rich.table import Table

from tests.system.deployment import Deployment, wait_until
from trainer.runtime import torch_engine
from trainer.runtime.boxes import decode
from trainer.runtime.bundle import ModelBundle
from trainer.runtime.preprocess import letterbox, to_batch
from trainer.runtime.records import NetworkOutput

PATIENCE_SECONDS = 600.0
WARM_UP_IMAGES = 48
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def distinct_images(folder: Path, count: int) -> list[bytes]:
    """`count` JPEGs of a folder, made distinct by a comment where the folder holds fewer."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not paths:
        raise SystemExit(f"{folder} holds no JPEG.")
    images = []
    for number, path in enumerate(islice(cycle(paths), count)):
        images.append(commented(path.read_bytes(), f"copy {number}"))
    return images


def commented(jpeg: bytes, text: str) -> bytes:
    """The same picture in other bytes: with a comment segment (ITU T.81, B.2.4.5)."""
    comment = text.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def resident_mib(process_group: int) -> list[int]:
    """Resident memory of each process of a group, MiB, largest first."""
    sizes = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            # a process may end between the listing and either question
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if os.getpgid(int(process.name)) == process_group:
                    sizes.append(int((process / "statm").read_text().split()[1]) * PAGE_KIB // 1024)
    return sorted(sizes, reverse=True)


def run_worker(images: Sequence[bytes], folder: Path) -> tuple[float, float, list[int]]:
    """Seconds from first drop to last PDF; seconds from drop to PDF of one file; memory of the processes, MiB."""
    deployment = Deployment(folder / "home", {"TRIAGE_SETTLE_SECONDS": "1", "TRIAGE_SWEEP_SECONDS": "2"})
    worker = deployment.start()
    try:
        # enough that every process has its network loaded: start-up is not throughput
        for number in range(WARM_UP_IMAGES):
            deployment.drop(f"warm-up-{number}.jpg", commented(images[0], f"warm-up {number}"))
        wait_until(lambda: len(deployment.reports()) == WARM_UP_IMAGES, PATIENCE_SECONDS, "warm-up", deployment.logs)
        begin = time.perf_counter()
        deployment.drop("single.jpg", commented(images[0], "single"))
        done = WARM_UP_IMAGES + 1
        wait_until(lambda: len(deployment.reports()) == done, PATIENCE_SECONDS, "single", deployment.logs)
        single = time.perf_counter() - begin
        begin = time.perf_counter()
        for number, content in enumerate(images):
            deployment.drop(f"{number:05d}.jpg", content)
        wait_until(
            lambda: len(deployment.reports()) == len(images) + done, PATIENCE_SECONDS, "reports", deployment.logs
        )
        return time.perf_counter() - begin, single, resident_mib(worker.process.pid)
    finally:
        deployment.close()


def run_naive(images: Sequence[bytes], folder: Path, bundle: ModelBundle) -> float:
    """Seconds for the loop one would write first."""
    engine = torch_engine.load_engine(bundle)
    database = sqlite3.connect(folder / "naive.db")
    database.execute("create table prediction (name text, label integer)")
    naive_image(images[0], "warm-up", folder, engine, database, bundle)
    begin = time.perf_counter()
    for number, content in enumerate(images):
        naive_image(content, str(number), folder, engine, database, bundle)
    return time.perf_counter() - begin


def naive_image(
    content: bytes,
    name: str,
    folder: Path,
    engine: torch_engine.TorchEngine,
    database: sqlite3.Connection,
    bundle: ModelBundle,
) -> None:
    """One scan: decode, predict alone, draw, PNG into a default page, commit."""
    image = Image.open(io.BytesIO(content)).convert("L")
    square, fitted = letterbox(np.asarray(image), bundle.input_size, bundle.cut_to_head)
    output: NetworkOutput = engine.run(to_batch([square]))
    boxes = decode(output, 0, fitted, bundle.calibration.box_threshold)
    picture = image.convert("RGB")
    for x1, y1, x2, y2 in boxes.xyxy.tolist():
        ImageDraw.Draw(picture).rectangle((x1, y1, x2, y2), outline="red")
    png = io.BytesIO()
    picture.save(png, "PNG")
    page = Canvas(str(folder / f"{name}.pdf"), pagesize=A4)
    page.drawString(50, 800, f"Class {int(output.class_logits[0].argmax())}")
    page.drawImage(ImageReader(io.BytesIO(png.getvalue())), 50, 300, 400, 400)
    page.save()
    database.execute("insert into prediction values (?, ?)", (name, int(output.class_logits[0].argmax())))
    database.commit()


def main() -> None:
    """Run both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder with JPEGs, walked through")
    parser.add_argument("--count", type=int, default=64)
    arguments = parser.parse_args()
    images = distinct_images(arguments.images, arguments.count)
    torch.set_num_threads(os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle = ModelBundle.load(Deployment(folder / "home").settings.model_folder)
        seconds, single, memory = run_worker(images, folder)
        naive = run_naive(images, folder, bundle)
    table = Table(title=f"{len(images)} images, {os.cpu_count()} cores, model {bundle.version}")
    for column in ("", "seconds", "images/s"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("worker, inbox to PDF", f"{seconds:.1f}", f"{len(images) / seconds:.1f}")
    table.add_row("naive loop", f"{naive:.1f}", f"{len(images) / naive:.1f}")
    console = Console()
    console.print(table)
    console.print(f"ratio {naive / seconds:.2f}; one file in an idle worker: {single:.2f} s from drop to PDF")
    console.print(f"resident memory of the worker's processes: {', '.join(f'{size} MiB' for size in memory)}")


if __name__ == "__main__":
    main()
