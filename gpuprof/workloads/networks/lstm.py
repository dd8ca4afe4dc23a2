"""LSTM of 64 units over (T, 10), last state, Dense 1 sigmoid."""

from gpuprof.workloads.networks._recurrent import Recurrent

WORKLOAD = Recurrent("lstm", "LSTM(64), last state, Dense 1", layer="LSTM", gates=4, second_bias_trains=False)
