"""How large the images of an epoch are."""

from dataclasses import replace

import pytest

from trainer.recipes import DEFAULT, INGREDIENTS, RECIPES, Recipe


@pytest.mark.parametrize(
    ("progress", "size"), [(0.0, 128), (0.29, 128), (0.3, 160), (0.59, 160), (0.6, 192), (1.0, 192)]
)
def test_images_grow(progress: float, size: int) -> None:
    assert DEFAULT.size_at(progress) == size


def test_sizes_are_what_the_network_takes() -> None:
    sizes = [replace(DEFAULT, size=size).size_at(progress) for size in (32, 64, 224) for progress in (0.0, 0.4, 0.9)]
    assert all(size % 32 == 0 for size in sizes)
    assert sizes == [32, 32, 32, 32, 64, 64, 160, 192, 224]


def test_at_the_end_scans_are_shown_as_they_are() -> None:
    assert DEFAULT.at(0.0) == DEFAULT.at(0.59) == DEFAULT
    end = DEFAULT.at(0.6)
    assert (end.counterfactual_share, end.style_mixing, end.augmentation.looks) == (0, 0, False)
    assert end.augmentation.brightness
    assert replace(end, counterfactual_share=DEFAULT.counterfactual_share, style_mixing=DEFAULT.style_mixing,
                   augmentation=DEFAULT.augmentation) == DEFAULT  # fmt: skip


def test_without_a_plain_ending_nothing_changes() -> None:
    assert INGREDIENTS["plain-ending"](DEFAULT).at(0.99) == INGREDIENTS["plain-ending"](DEFAULT)


def test_without_growing_all_epochs_are_of_one_size() -> None:
    plain = INGREDIENTS["growing"](DEFAULT)
    assert [plain.size_at(progress) for progress in (0.0, 0.5, 1.0)] == [192] * 3


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_leaving_everything_out_changes_a_recipe_once(recipe: Recipe) -> None:
    plain = recipe
    for leave_out in INGREDIENTS.values():
        plain = leave_out(plain)
    again = plain
    for leave_out in INGREDIENTS.values():
        again = leave_out(again)
    assert again == plain
    assert (plain == recipe) is (recipe.name == "seed")
