"""The bar of an epoch: images done, images a second, time left; on standard error, and only where it is watched."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from trainer.terminal import PROGRESS


class RateColumn(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        """The rate of the last half minute; of the whole epoch when it is over."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} images/s")


@contextmanager
def image_bar(title: str, images: int, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar over `images`; yields what is called with the number of images of each batch."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=PROGRESS, transient=True, disable=not (shown and PROGRESS.is_terminal), redirect_stdout=False
    ) as progress:
        task = progress.add_task(title, total=images)
        yield lambda count: progress.advance(task, count)
