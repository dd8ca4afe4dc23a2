"""The commands, one line each, and the help of gpuprof itself. Imports nothing, so that the help comes at once."""

COMMANDS = {
    "run": "Measure networks on this machine and store the record.",
    "compare": "Compare two sets of runs: which is faster, how sure, how fair.",
    "history": "A metric over time: what changed, when, and what with it.",
    "nightly": "Measure, compare with the nights before, report.",
    "schedule": "Timer, cron line or workflow for the nightly run.",
    "report": "A page of one run, or of the whole store.",
    "monitor": "Energy, power and temperature over the life of any command.",
    "devices": "List the GPUs that the vendor libraries see, and the CPU.",
    "doctor": "Find and explain what keeps a GPU from being measured.",
    "calibrate-telemetry": "Measure how a device's sensors behave.",
    "list": "List the stored runs.",
    "show": "Show one stored run.",
    "export": "Stored runs in formats that other tools read.",
    "store": "Check a store, clear what dead runs left, see to its index.",
    "recover": "Publish what a killed run had measured.",
    "schema": "Print the JSON Schema of record.json.",
}

_LIST = "\n".join(f"  {name:<21}{text}" for name, text in COMMANDS.items())
HELP = f"""\
Usage: gpuprof [OPTIONS] COMMAND [ARGS]...

  Which GPU, NVIDIA or AMD, should run this deep-learning work?

  gpuprof trains and runs reference networks in PyTorch with the same code on
  CUDA, ROCm and the CPU, and keeps what it measured with its uncertainty.

Examples:
  gpuprof run configs/lstm.yaml            the LSTM on the GPU, or on the CPU without one
  gpuprof run configs/reference.yaml       every network
  gpuprof run configs/cnn.yaml --set sweep.batch_size=[1,8,64]
  gpuprof compare vendor=nvidia vendor=amd -o report.html
  gpuprof show last                        the newest result once more
  gpuprof monitor python train.py          what any command draws, joules and all
  gpuprof doctor                           why is my GPU not used?

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
{_LIST}

Each command has its own help: gpuprof run --help"""
