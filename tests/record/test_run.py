"""A real record validates, and comes back from its file as it was."""

from __future__ import annotations

import json

import jsonschema

from gpuprof.record.run import RunRecord, json_schema


def test_a_real_record_validates_against_the_printed_schema(stored_run):
    _, done = stored_run
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.Draft202012Validator(json_schema()).validate(done.json)


def test_a_real_record_survives_reading_and_writing(stored_run):
    store, done = stored_run
    text = next(store.glob("*/record.json")).read_text()
    record = RunRecord.model_validate_json(text)
    assert record.to_json() == text
    assert json.loads(text) == done.json
