"""Grids, statements and open settings of the paper."""

import itertools
import tomllib
from importlib import resources

import pytest

from kdcheck.errors import InputError
from kdcheck.paper import (
    erm_grid,
    open_settings,
    soft_grid,
    statement,
    tuned_kd_grid,
    tuned_ls_alphas,
    tuned_ls_grid,
)
from kdcheck.recipe import Recipe

RATES = [rate * 1e-5 for rate in range(1, 8)]


@pytest.mark.parametrize(
    ("grid", "size"),
    [(erm_grid, 70), (soft_grid, 630), (tuned_kd_grid, 1960), (tuned_ls_grid, 1960)],
)
def test_grids_have_the_sizes_that_the_paper_states_and_no_point_twice(grid, size):
    points = list(grid())
    assert len(points) == len(set(points)) == size


def test_the_grid_of_table_1_is_the_product_of_its_ranges():
    points = {(round(p.alpha, 1), round(p.learning_rate * 1e5), p.epochs) for p in soft_grid()}
    tenths = [round(a / 10, 1) for a in range(1, 10)]
    assert points == set(itertools.product(tenths, range(1, 8), range(1, 11)))


def test_the_tuned_grid_holds_temperatures_that_double_and_alphas_by_quarters():
    points = list(tuned_kd_grid())
    assert {p.temperature for p in points} == {2**n for n in range(7)}
    assert {p.alpha for p in points} == {0.25, 0.5, 0.75, 1.0}
    assert sorted({p.learning_rate for p in points}) == pytest.approx(RATES)


def test_tuned_alphas_of_label_smoothing_are_equally_spaced_between_the_stated_ends():
    alphas = tuned_ls_alphas()
    assert len(alphas) == 28
    assert (alphas[0], alphas[-1]) == (0.1, 0.9991)
    # Four decimals each, so steps differ by less than a thousandth of one only in binary.
    steps = [b - a for a, b in itertools.pairwise(alphas)]
    assert steps == pytest.approx([(0.9991 - 0.1) / 27] * 27, abs=1e-12)


def test_an_unknown_statement_is_refused():
    with pytest.raises(InputError) as error:
        statement("everything_is_fine")
    assert "'everything_is_fine'" in str(error.value)
    assert "kdcheck audit" in str(error.value)


def test_what_the_paper_leaves_open_has_a_default_and_a_reason():
    names = {setting.name for setting in open_settings()}
    assert {
        *("tau_squared", "schedule", "weight_decay", "clipping", "betas", "epsilon"),
        *("max_length", "casing", "mixed_precision", "seed", "split_seed", "ece_bins"),
        *("tie_breaks", "smoothing_classes", "entropy", "evaluation_temperature"),
    } <= names
    for setting in open_settings():
        assert setting.question.endswith("?"), setting.name
        assert setting.default, setting.name
        assert setting.reason.endswith("."), setting.name


def test_defaults_of_open_settings_are_those_of_a_recipe():
    fields = {name: field.default for name, field in Recipe.__dataclass_fields__.items()}
    defaults = {setting.name: setting.default for setting in open_settings()}
    assert defaults["weight_decay"] == f"{fields['weight_decay']:g}"
    assert defaults["clipping"] == f"at {fields['clip_norm']}"
    assert defaults["max_length"].startswith(f"{fields['max_length']};")
    assert defaults["schedule"].startswith(f"{fields['schedule']} to zero")
    assert float(defaults["epsilon"]) == fields["epsilon"]
    assert defaults["betas"].split(" and ") == [f"{fields[b]:g}".lstrip("0") for b in ("beta_1", "beta_2")]  # fmt: skip
    assert defaults["dropout"].startswith(f"{fields['dropout']:g}".lstrip("0"))


@pytest.mark.parametrize("name", ["tables", "open_settings"])
def test_data_files_are_part_of_the_package_and_readable(name):
    text = resources.files("kdcheck.paper").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)
