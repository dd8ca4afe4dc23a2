"""A broken fused LSTM for a real worker: on the path of the process, it damages torch's own layer after its import.

GPUPROF_TEST_LSTM=wrong halves the hidden state; crash aborts the process; hang never returns. The path without fused
kernels stays right.
"""

import importlib.abc
import importlib.util
import os
import sys
import time


class _BreakLstm(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "torch.nn.modules.rnn":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_break(module):
            execute(module)
            right = module.LSTM.forward

            def forward(layer, x, *rest):
                output, (hidden, cell) = right(layer, x, *rest)
                if __import__("torch").backends.mkldnn.enabled and x.device.type != "meta" and x.shape[-1] == 10:
                    if os.environ["GPUPROF_TEST_LSTM"] == "crash":
                        os.abort()
                    while os.environ["GPUPROF_TEST_LSTM"] == "hang":
                        time.sleep(60)
                    hidden = hidden * 0.5
                return output, (hidden, cell)

            module.LSTM.forward = forward

        spec.loader.exec_module = execute_and_break
        return spec


if "GPUPROF_TEST_LSTM" in os.environ:
    sys.meta_path.insert(0, _BreakLstm())
