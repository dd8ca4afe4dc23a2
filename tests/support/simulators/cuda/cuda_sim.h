/* What the simulated CUDA libraries have in common. */
#include <stdint.h>

/* Counted in one process; `Counts` in __init__.py has the same fields. */
typedef struct {
    uint64_t launches, graph_launches, synchronisations, captured;
    uint64_t illegal; /* calls that a capture forbids */
    uint64_t allocations[8]; /* by device */
    char last_illegal[128];
} SimCounts;

extern SimCounts *sim_cuda;

/* A kernel on a stream: it takes time there, or becomes a node of the graph that the stream captures. */
void sim_cuda_launch(void *stream);
