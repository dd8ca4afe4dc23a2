"""The commands, one line each, and the help of gpuprof itself. Imports nothing, so that the help comes at once."""

COMMANDS = {
    "demo": "See a sample comparison; no GPU needed.",
    "run": "Measure networks on this machine and store the results.",
    "compare": "Compare two sets of runs: verdict, energy, fairness.",
    "history": "A metric over time: when it changed, and what else did.",
    "nightly": "Measure, compare with earlier nights, report.",
    "schedule": "Write a timer, cron line or workflow for nightly runs.",
    "report": "Report on one run, several, or the whole store.",
    "monitor": "Energy, power and temperature while any command runs.",
    "devices": "List the GPUs that the vendor libraries see, and the CPU.",
    "doctor": "Find what would spoil a measurement, and how to fix it.",
    "calibrate-telemetry": "Measure how a device's sensors behave.",
    "list": "List the stored runs.",
    "show": "Show one stored run.",
    "export": "Export stored runs to formats that other tools read.",
    "store": "Check a store, clean up killed runs, update its index.",
    "recover": "Save what a killed run had measured.",
    "completion": "Let your shell complete commands, runs and selectors.",
    "schema": "Print the JSON Schema of record.json.",
}

_LIST = "\n".join(f"  {name:<21}{text}" for name, text in COMMANDS.items())
HELP = f"""\
Usage: gpuprof [OPTIONS] COMMAND [ARGS]...

  Which GPU, NVIDIA or AMD, should run this deep-learning work?

  gpuprof trains and runs reference networks in PyTorch, with the same code on
  CUDA, ROCm and the CPU, and stores each result with its uncertainty.

Examples:
  gpuprof demo                             a sample comparison, as text and page
  gpuprof run lstm                         LSTM on the GPU, else on the CPU
  gpuprof run reference                    all networks
  gpuprof run cnn --set 'sweep.batch_size=[1,8,64]'
  gpuprof compare nvidia amd -o report.html
  gpuprof show last                        the newest result again
  gpuprof monitor python train.py          energy and power of any command
  gpuprof doctor                           why is my GPU not used?

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
{_LIST}

Each command has its own help: gpuprof help run"""
