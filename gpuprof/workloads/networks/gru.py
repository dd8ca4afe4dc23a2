"""GRU of 64 units over (T, 10), last state, Dense 1 sigmoid. Keras' reset_after has two biases, as torch has."""

from gpuprof.workloads.networks._recurrent import Recurrent

WORKLOAD = Recurrent("gru", "GRU(64), last state, Dense 1", layer="GRU", gates=3, second_bias_trains=True)
