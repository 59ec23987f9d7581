"""What a worker process works with."""

import shutil
from types import SimpleNamespace

import pytest

from worker import services as module
from worker.services import Services
from worker.settings import Settings


@pytest.mark.parametrize(("free", "has_room"), [(1000, True), (1001, True), (999, False), (0, False)])
def test_room_is_what_intake_must_keep_clear(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, free: int, has_room: bool
) -> None:
    asked = []

    def disk_usage(path: object) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=free)

    monkeypatch.setattr(module.shutil, "disk_usage", disk_usage)
    services = Services(settings.model_copy(update={"min_free_bytes": 1000}))
    assert services.has_room() is has_room
    assert asked == [settings.home]
    assert not services.has_room(max(1, free - 1000 + 1))
    assert services.has_room(free - 1000) is True


def test_the_real_disk_has_room_for_nothing_and_not_for_more_than_it_is(settings: Settings) -> None:
    total = shutil.disk_usage(settings.home).total
    assert Services(settings).has_room()
    assert not Services(settings.model_copy(update={"min_free_bytes": total + 1})).has_room()


def test_nothing_is_opened_before_it_is_used(settings: Settings) -> None:
    services = Services(settings.model_copy(update={"model": settings.home / "no such model"}))
    assert not {"session", "predictor", "bundle"} & vars(services).keys()
    assert services.session is services.session


def test_the_limits_are_the_settings(settings: Settings) -> None:
    limits = Services(settings.model_copy(update={"max_pixels": 123, "max_file_bytes": 456})).limits
    assert (limits.max_pixels, limits.max_file_bytes) == (123, 456)
