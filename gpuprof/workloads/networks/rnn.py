"""SimpleRNN of 64 tanh units over (T, 10), last state, Dense 1 sigmoid."""

from gpuprof.workloads.networks._recurrent import Recurrent

WORKLOAD = Recurrent("rnn", "SimpleRNN(64), last state, Dense 1", layer="RNN", gates=1, second_bias_trains=False)
