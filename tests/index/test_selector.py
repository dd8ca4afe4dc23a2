"""Selectors: what each operator means, on which field, and what is said of one that cannot be understood."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpuprof.errors import UsageError
from gpuprof.index.selector import CASE_FIELDS, RUN_FIELDS, Condition, is_selector, parse, varied

OPERATORS = ("=", "!=", "~", ">=", "<=", ">", "<")


def holds(text: str, actual: object) -> bool:
    (condition,) = parse(text).conditions
    return condition.holds(actual)


@pytest.mark.parametrize(
    ("text", "actual", "expected"),
    [
        ("vendor=nvidia", "nvidia", True), ("vendor=NVIDIA", "nvidia", True), ("vendor=nvidia", "amd", False),
        ("vendor!=nvidia", "amd", True), ("vendor!=nvidia", "nvidia", False),
        ("device~mi300", "AMD Instinct MI300X", True), ("device~H100", "AMD Instinct MI300X", False),
        ("batch_size=32", 32, True), ("batch_size!=32", 32, False), ("batch_size>=8", 32, True),
        ("batch_size>=32", 32, True), ("batch_size>32", 32, False), ("batch_size<9", 8, True),
        ("batch_size<=8", 8, True), ("batch_size<100", 32, True), ("threads>9", 10, True),
        ("simulated=true", True, True), ("simulated=false", False, True), ("simulated=true", False, False),
        ("date>=2026-11-01", "2026-11-23T15:43:54Z", True), ("date>=2026-12", "2026-11-23T15:43:54Z", False),
        ("date<=2026-11-23", "2026-11-23T15:43:54Z", True), ("date>2026-11-23", "2026-11-23T15:43:54Z", False),
        ("date<2026-11-23", "2026-11-23T15:43:54Z", False), ("date=2026-11-23", "2026-11-23T15:43:54Z", True),
        ("date=2026-11", "2026-11-23T15:43:54Z", True), ("date!=2026-11-23", "2026-11-23T15:43:54Z", False),
        ("date=2026-11-22", "2026-11-23T15:43:54Z", False), ("date>=2026-11-23T16", "2026-11-23T15:43:54Z", False),
        ("torch>=2.10", "2.9.0+cu126", False), ("torch>=2.10", "2.15.0+cu132", True), ("torch<2.10", "2.9.1", True),
        ("torch<=2.9", "2.9.1+cpu", True), ("torch=2.9.1", "2.9.1", True), ("torch~rocm", "2.9.1+rocm6.3", True),
        ("driver>535.98", "535.104.05", True), ("driver>=550", "550.54.15", True), ("driver>550", "550.54.15", False),
        ("run~lstm", "20261123T154354Z-lstm-14f82b7b", True), ("run>=20261123T15", "20261123T154354Z-lstm-1", True),
        ("host=gpu01", "GPU01", True),
    ],
)  # fmt: skip
def test_operators(text, actual, expected):
    assert holds(text, actual) is expected


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("field", [*RUN_FIELDS, *CASE_FIELDS])
def test_what_is_not_there_fulfils_nothing_but_unequal(field, operator):
    assert holds(f"{field}{operator}1", None) is (operator == "!=")


def test_all_conditions_have_to_hold():
    both = parse("batch_size>=8, batch_size<64 , variant=eager,vendor=amd")
    assert [c.field for c in both.on_cases] == ["batch_size", "batch_size", "variant"]
    assert [c.field for c in both.on_runs] == ["vendor"]
    assert both.case({"batch_size": 8, "variant": "eager"})
    assert not both.case({"batch_size": 64, "variant": "eager"})
    assert not both.case({"batch_size": 8, "variant": "compile"})


@pytest.mark.parametrize(
    ("alias", "field"),
    [("device.name", "device"), ("batch", "batch_size"), ("hostname", "host"), ("run_id", "run"),
     ("started_at", "date")],
)  # fmt: skip
def test_other_names_of_a_field(alias, field):
    assert parse(f"{alias}=7").conditions == (Condition(field, "=", "7"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date>=yesterday", "write a date as 2026-11-01"),
        ("vender=nvidia", "unknown field 'vender'; did you mean 'vendor'?"),
        ("batchsize=3", "did you mean 'batch_size'?"), ("colour=red", "known: run, date, outcome"),
        ("vendor=", "has no value"), ("vendor=nvidia,", "'' is not a condition"), ("nvidia", "is not a condition"),
        ("vendor=~nvidia", "the operators are"),
        ("vendor=>nvidia", "the operators are"), ("batch_size>=many", "batch_size must be a number"),
        ("batch_size=big", "batch_size must be a number"), ("torch>=new", "is not a version"),
        ("vendor=a,threads=", "has no value"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_told(text, message):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_is_a_selector():
    assert all(is_selector(f"vendor{operator}x") for operator in OPERATORS)
    assert not any(map(is_selector, ("last", "20261123T154354Z-lstm-14f82b7b", "results/", "")))


def test_what_two_sides_ask_for_differently_is_what_is_varied():
    asked = parse("variant=eager,workload=lstm,batch_size>=8"), parse("variant=COMPILE,workload=LSTM,batch_size>=9")
    assert varied(*asked) == {"variant"}
    assert varied(parse("vendor=nvidia"), parse("vendor=amd")) == set()
    assert varied(parse("precision=bf16"), parse("vendor=amd")) == set()


# ---- whatever is typed

VALUE = st.text(st.characters(codec="utf-8", exclude_characters=",\n"), min_size=1).map(str.strip)


@given(st.sampled_from(["vendor", "device", "host", "workload", "precision"]), st.sampled_from(OPERATORS), VALUE)
def test_what_is_written_is_read(field, operator, value):
    if not value or value[0] in "=~<>":
        return
    assert parse(f" {field} {operator} {value} ").conditions == (Condition(field, operator, value),)


@given(st.text(max_size=60))
@example("a" * 5000 + "=" * 5000)
@example("vendor=" + "x," * 300)
def test_any_text_is_a_selector_or_a_mistake_that_is_told(text):
    try:
        found = parse(text)
    except UsageError as error:
        assert str(error)
    else:
        assert all(c.field in (*RUN_FIELDS, *CASE_FIELDS) and c.operator in OPERATORS for c in found.conditions)


ACTUAL = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.floats(allow_nan=False))


@given(
    st.sampled_from([*RUN_FIELDS, *CASE_FIELDS]),
    st.sampled_from(OPERATORS),
    st.text("0123456789.-T", min_size=1),
    ACTUAL,
)
def test_every_condition_can_be_tried_on_every_value(field, operator, value, actual):
    assert Condition(field, operator, value).holds(actual) in (True, False)
    if actual is not None:
        opposite = Condition(
            field, {"=": "!=", "!=": "=", ">=": "<", "<": ">=", "<=": ">", ">": "<="}.get(operator, "~"), value
        )
        if operator != "~":
            assert opposite.holds(actual) is not Condition(field, operator, value).holds(actual)
