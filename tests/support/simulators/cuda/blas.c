/* Simulated cuBLAS and cuBLASLt: handles know their stream, and every product is one launch on it.
 *
 * What PyTorch needs beside this is made when the library is built: a launch for each function (`_stubs` in __init__.py).
 */
#include <stddef.h>
#include <stdlib.h>

#include "cuda_sim.h"

typedef struct {
    void *stream;
    int math_mode, pointer_mode;
} Handle;

#ifdef SIM_BLAS
int cublasCreate_v2(void **handle) { *handle = calloc(1, sizeof(Handle)); return 0; }
int cublasDestroy_v2(void *handle) { free(handle); return 0; }
int cublasSetStream_v2(Handle *handle, void *stream) { handle->stream = stream; return 0; }
int cublasGetMathMode(Handle *handle, int *mode) { *mode = handle->math_mode; return 0; }
int cublasSetMathMode(Handle *handle, int mode) { handle->math_mode = mode; return 0; }
int cublasGetPointerMode_v2(Handle *handle, int *mode) { *mode = handle->pointer_mode; return 0; }
int cublasSetPointerMode_v2(Handle *handle, int mode) { handle->pointer_mode = mode; return 0; }
int cublasSetWorkspace_v2(Handle *handle, void *place, size_t bytes) { (void)handle, (void)place, (void)bytes; return 0; }
int cublasSetSmCountTarget(Handle *handle, int count) { (void)handle, (void)count; return 0; }
#else
static int descriptor(void **made) { *made = calloc(1, 256); return 0; }
static int freed(void *made) { free(made); return 0; }

size_t cublasLtGetVersion(void) { return 130000; }
int cublasLtCreate(void **handle) { return descriptor(handle); }
int cublasLtDestroy(void *handle) { return freed(handle); }
int cublasLtMatmulDescCreate(void **d, int compute, int scale) { (void)compute, (void)scale; return descriptor(d); }
int cublasLtMatmulPreferenceCreate(void **d) { return descriptor(d); }
int cublasLtMatrixLayoutCreate(void **d, int type, unsigned long rows, unsigned long columns, long ld) {
    (void)type, (void)rows, (void)columns, (void)ld;
    return descriptor(d);
}
int cublasLtMatmulDescDestroy(void *d) { return freed(d); }
int cublasLtMatmulPreferenceDestroy(void *d) { return freed(d); }
int cublasLtMatrixLayoutDestroy(void *d) { return freed(d); }

int cublasLtMatmulAlgoGetHeuristic(void *handle, void *operation, void *a, void *b, void *c, void *d, void *preference, int wanted, void *results, int *found) {
    (void)handle, (void)operation, (void)a, (void)b, (void)c, (void)d, (void)preference, (void)wanted, (void)results;
    *found = 1;
    return 0;
}

int cublasLtMatmul(void *handle, void *operation, const void *alpha, const void *a, void *la, const void *b, void *lb, const void *beta, const void *c, void *lc, void *d, void *ld, const void *algorithm, void *workspace, size_t bytes, void *stream) {
    (void)handle, (void)operation, (void)alpha, (void)a, (void)la, (void)b, (void)lb, (void)beta, (void)c, (void)lc, (void)d, (void)ld, (void)algorithm, (void)workspace, (void)bytes;
    sim_cuda_launch(stream);
    return 0;
}
#endif
