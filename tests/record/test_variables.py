"""What a record keeps of the environment: what can change results, and never a secret."""

from __future__ import annotations

import json

import pytest

from gpuprof.record.run import RunRecord
from gpuprof.record.variables import HIDDEN, changes, kept, without_secrets
from gpuprof.store import runs as store
from support.compared import LSTM_1
from support.running import CONFIGS, SHORT, gpuprof

NAMES = (
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN",
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "NVIDIA_API_KEY", "NGC_API_KEY", "TRITON_API_KEY",
    "TORCH_API_TOKEN", "TORCH_HUB_AUTH", "HIP_SECRET", "OMP_PASSWORD", "CUDA_LICENSE_KEY", "CUBLAS_PRIVATE_KEY",
    "MIOPEN_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "SLURM_JWT", "DATABASE_URL", "http_proxy", "HTTPS_PROXY",
    "PIP_INDEX_URL", "NPM_TOKEN", "DOCKER_PASSWORD", "KUBE_TOKEN", "SSH_PRIVATE_KEY", "MYSQL_PWD", "PGPASSWORD",
    "REDIS_URL", "SENTRY_DSN", "SLACK_TOKEN", "STRIPE_SECRET_KEY", "TWILIO_AUTH_TOKEN", "VAULT_TOKEN",
    "NVIDIA_BUILD_ID", "TRITON_CLOUD_CREDENTIALS",
)  # fmt: skip


def secrets() -> dict[str, str]:
    """Forty variables, each with a value of its own."""
    values = {name: f"s3cr3t{number:02}value{name.lower()[::-1]}" for number, name in enumerate(NAMES)}
    for name in ("DATABASE_URL", "http_proxy", "HTTPS_PROXY", "PIP_INDEX_URL", "REDIS_URL"):
        values[name] = f"http://user:{values[name]}@127.0.0.1:9/x"
    return values


@pytest.mark.parametrize("name", NAMES)
def test_secrets_are_not_kept(name):
    assert changes(name) == ""
    assert kept({name: "x"}) == {}


def test_what_changes_results_is_kept_with_what_it_changes():
    known = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "OMP_PROC_BIND": "true", "PYTORCH_TUNABLEOP_ENABLED": "1",
             "NVIDIA_TF32_OVERRIDE": "0", "HSA_OVERRIDE_GFX_VERSION": "11.0.0", "SLURM_JOB_ID": "7"}  # fmt: skip
    assert kept(known | {"PATH": "/bin", "NVIDIA_BUILD_ID": "1", "PYTORCH_HOME": "/x"}) == dict(sorted(known.items()))
    assert changes("NVIDIA_TF32_OVERRIDE") == "which kernels and precision run"


@pytest.mark.parametrize(
    "value",
    ["http://user:pass@host/x", "abcdefghij0123456789abcdefghij0123456789", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"],
)
def test_a_value_that_looks_like_a_credential_is_hidden_whatever_its_name(value):
    assert kept({"CUDNN_LOGDEST_DBG": value}) == {"CUDNN_LOGDEST_DBG": HIDDEN}


def test_ordinary_values_are_shown():
    for value in (
        "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4",
        "max_split_size_mb:512",
        "0,1,2,3",
        "GPU-1a2b3c4d",
    ):
        assert kept({"LD_PRELOAD": value}) == {"LD_PRELOAD": value}


def test_a_text_loses_the_values_of_secrets():
    variables = secrets()
    text = "\n".join(f"{name}={value}" for name, value in variables.items() if name in ("HF_TOKEN", "NGC_API_KEY"))
    told = without_secrets(f"torch said: {text}", variables)
    assert variables["HF_TOKEN"] not in told
    assert told.startswith("torch said: HF_TOKEN=")


def test_records_made_before_are_read_without_their_secrets(tmp_path):
    data = store.read(LSTM_1).model_dump(mode="json", by_alias=True)
    data["environment"]["variables"] = {"NVIDIA_API_KEY": "nvapi-secret", "OMP_PROC_BIND": "true", "TRITON_X": "y"}
    run = tmp_path / data["run_id"]
    run.mkdir()
    (run / "record.json").write_text(json.dumps(data))
    assert store.read(run).environment.variables == {"OMP_PROC_BIND": "true"}
    assert RunRecord.model_validate(data).environment.variables == {"OMP_PROC_BIND": "true"}
    for arguments in (("show", run, "--json"), ("compare", run, LSTM_1, "--json"), ("export", run, "--format", "csv")):
        done = gpuprof(*arguments)
        assert done.code == 0, done.err
        assert "nvapi-secret" not in done.out + done.err


@pytest.mark.slow
def test_no_file_holds_a_secret(tmp_path):
    """A run, and everything that is made of it, in an environment of forty secrets."""
    hidden, cache, out = secrets(), tmp_path / "cache", tmp_path / "out"
    out.mkdir()
    env = hidden | {"XDG_CACHE_HOME": str(cache)}
    paths = ("--store", tmp_path / "store")
    small = ("--set", "seq_len=10", "--set", "batch_size=4")
    said = [gpuprof("run", CONFIGS / "rnn.yaml", *SHORT, *small, *paths, env=env) for _ in range(2)]
    first, second = (run.name for run in store.run_directories(tmp_path / "store"))
    for form in ("html", "md", "json"):
        said.append(gpuprof("compare", first, second, *paths, "-o", out / f"c.{form}", env=env))
    said.append(gpuprof("report", *paths, "-o", out / "r.html", env=env))
    for form in ("csv", "openmetrics", "bencher", "github-benchmark"):
        said.append(gpuprof("export", first, *paths, "--format", form, env=env))
    said.append(gpuprof("doctor", env=env))
    said.append(gpuprof("show", first, *paths, env=env))
    assert [done.code for done in said[:-2]] == [0] * (len(said) - 2)
    texts = [(done.out + done.err).encode() for done in said]
    texts += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(texts) > 15
    for value in (*hidden.values(), *(value[12:] for value in hidden.values() if "@" in value)):
        assert not [text for text in texts if value.encode() in text]
