"""Files that are no configurations: refused at once, by name, and without a word of what stands in them."""

from __future__ import annotations

import os

import pytest

from support.running import gpuprof

SHADOW = "superuser:$6$salt$hash:20228:0:99999:7:::\ndaemon:*:20228:0:99999:7:::\n"


def dry(*arguments):
    return gpuprof("run", *arguments, "--dry-run")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", "/dev/zero", "/dev/stdin"):
        done = dry(path)
        assert done.code == 2
        assert done.err == f"gpuprof: {path}: is not a regular file\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"workload: rnn\nseq_len: 0x{'f' * 6000}\n", "a number of 6002 digits"),
        (f"workload: rnn\nseq_len: {'9' * 6000}\n", "a number of 6000 digits"),
        ('workload: "r\\0nn"\n', "workload"),
        ("workload: rnn\n" + "# " + "x" * 1_000_001, "larger than 1000000 bytes"),
        ("a: " * 3000 + "\n", "not valid YAML"),
        ("[" * 3000, "not valid YAML"),
    ],
)
def test_absurd_texts_are_refused(tmp_path, text, says):
    (tmp_path / "x.yaml").write_text(text)
    done = dry(tmp_path / "x.yaml")
    assert done.code == 2
    assert says in done.err
    assert len(done.err) < 1000


def test_a_suite_with_an_impossible_name(tmp_path):
    (tmp_path / "suite.yaml").write_text('suite: ["a\\0b.yaml"]\n')
    done = dry(tmp_path / "suite.yaml")
    assert done.code == 2
    assert "must be the name of a configuration file" in done.err


def test_another_file_is_not_quoted(tmp_path):
    """A suite that somebody sent names it, and the message goes into a mail."""
    (tmp_path / "shadow").write_text(SHADOW)
    (tmp_path / "suite.yaml").write_text(f"suite: [{tmp_path / 'shadow'}]\n")
    for name in ("shadow", "suite.yaml"):
        done = dry(tmp_path / name)
        assert done.code == 2
        assert "a key must be a word" in done.err
        assert not [part for part in ("superuser", "salt", "daemon", "20228") if part in done.out + done.err]


def test_escape_sequences_stay_out_of_the_terminal(tmp_path):
    (tmp_path / "x.yaml").write_text('workload: rnn\nparams: {hidden_size: "\\e]0;owned\\a\\e[31m"}\n')
    done = dry(tmp_path / "x.yaml", "--set", "seq_len=\x1b[31m7")
    assert done.code == 2
    assert "\x1b" not in done.out + done.err
    (tmp_path / "\x1b[31m.yaml").write_text("workload: rnn\n")
    done = dry(tmp_path / "\x1b[31m.yaml")
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
