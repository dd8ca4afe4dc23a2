/* Simulated libcuda.so.1: as much of the driver as PyTorch and Triton ask for. Codes of attributes are those of cuda.h. */
#include <stddef.h>
#include <string.h>

#include "cuda_sim.h"

#define DONE(NAME) int NAME(void) { return 0; }

extern int cudaGetDeviceCount(int *count);
extern int cudaGetDevice(int *index);
extern int cudaSetDevice(int index);

int cuInit(unsigned flags) { (void)flags; return 0; }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuDeviceGetCount(int *count) { return cudaGetDeviceCount(count); }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuGetErrorString(int error, const char **text) { (void)error; *text = "a simulated error"; return 0; }

/* A context is its device's number, from 1 on. */
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { (void)device; *flags = 0, *active = 1; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)((size_t)device + 1); return 0; }
int cuCtxGetCurrent(void **context) { int device = 0; cudaGetDevice(&device); *context = (void *)((size_t)device + 1); return 0; }
int cuCtxSetCurrent(void *context) { return context ? cudaSetDevice((int)((size_t)context - 1)) : 0; }
int cuCtxPushCurrent_v2(void *context) { return cuCtxSetCurrent(context); }
int cuCtxPopCurrent_v2(void **context) { return cuCtxGetCurrent(context); }
int cuCtxGetDevice(int *device) { return cudaGetDevice(device); }
int cuStreamGetCtx(void *stream, void **context) { (void)stream; return cuCtxGetCurrent(context); }

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    switch (attribute) { /* of an H100 */
    case 1: *value = 1024; break;     /* threads of a block */
    case 8: *value = 49152; break;    /* shared memory of a block */
    case 10: *value = 32; break;      /* warp size */
    case 12: *value = 65536; break;   /* registers of a block */
    case 13: *value = 1980000; break; /* clock, kHz */
    case 16: *value = 132; break;     /* multiprocessors */
    case 36: *value = 2619000; break; /* memory clock, kHz */
    case 37: *value = 5120; break;    /* bus width */
    case 39: *value = 2048; break;    /* threads of a multiprocessor */
    case 75: *value = 9; break;       /* compute capability */
    case 81: *value = 233472; break;  /* shared memory of a multiprocessor */
    case 82: *value = 65536; break;   /* registers of a multiprocessor */
    case 97: *value = 232448; break;  /* shared memory of a block that asks for it */
    default: *value = 0;
    }
    return 0;
}

int cuModuleLoad(void **module, const char *file) { (void)file; *module = (void *)8; return 0; }
int cuModuleLoadData(void **module, const void *image) { (void)image; *module = (void *)8; return 0; }
int cuModuleLoadDataEx(void **module, const void *image, unsigned n, void *options, void *values) { (void)n, (void)options, (void)values; return cuModuleLoadData(module, image); }
int cuModuleGetFunction(void **function, void *module, const char *name) { (void)module, (void)name; *function = (void *)16; return 0; }
int cuFuncGetAttribute(int *value, int attribute, void *function) { (void)function; *value = attribute == 4 ? 32 : attribute ? 0 : 1024; return 0; }
int cuPointerGetAttribute(void *value, int attribute, unsigned long place) { (void)attribute; memcpy(value, &place, sizeof place); return 0; }
int cuOccupancyMaxActiveClusters(int *count, void *function, void *configuration) { (void)function, (void)configuration; *count = 8; return 0; }

int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **arguments, void **extra) {
    (void)function, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared, (void)arguments, (void)extra;
    sim_cuda_launch(stream);
    return 0;
}

/* CUlaunchConfig: six unsigned sizes, the shared memory, then the stream. */
int cuLaunchKernelEx(const void *configuration, void *function, void **arguments, void **extra) {
    (void)function, (void)arguments, (void)extra;
    void *stream;
    memcpy(&stream, (const char *)configuration + 32, sizeof stream);
    sim_cuda_launch(stream);
    return 0;
}

DONE(cuCtxGetLimit)
DONE(cuCtxSetLimit)
DONE(cuFuncSetAttribute)
DONE(cuFuncSetCacheConfig)
DONE(cuLaunchCooperativeKernel)
DONE(cuLinkAddData_v2)
DONE(cuLinkComplete)
DONE(cuLinkCreate_v2)
DONE(cuModuleUnload)
DONE(cuOccupancyMaxActiveBlocksPerMultiprocessor)
DONE(cuStreamIsCapturing)
DONE(cuTensorMapEncodeTiled)
