/* A simulated CUDA runtime, on which PyTorch's own CUDA build runs without a GPU.
 *
 * Device memory is the host's. Kernels compute nothing and only take time; arithmetic.py makes the numbers right where a
 * test wants them. What is kept as CUDA has it: devices, the order of streams and events, errors, and the rules of stream
 * capture. Sources: CUDA Runtime API (Stream Management, Graph Management) and CUDA C++ Programming Guide, "CUDA Graphs".
 *
 * It is described by variables, which `variables` in __init__.py sets:
 *   SIM_CUDA_DEVICES      a line for each device: name|uuid, 32 hex digits|pci bus|bytes|SMs|major|minor
 *   SIM_CUDA_KERNEL_NS    how long a kernel takes
 *   SIM_CUDA_INIT_ERROR   what cudaGetDeviceCount answers, 802 for example
 *   SIM_CUDA_COUNTS       directory in which each process counts what it does, in a file: killing it loses nothing
 *   SIM_CUDA_POWER        file|idle watts|busy watts: lines "monotonic_ns watts" are added whenever the load changes
 */
#define _GNU_SOURCE
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cuda_sim.h"

#define MAX_DEVICES 8
#define MAX_BLOCKS 65536
#define MAX_FORKS 64

typedef struct Graph Graph;

typedef struct Stream {
    uint64_t busy_until_ns;
    Graph *graph; /* while it captures */
    int origin;   /* whether the capture began here, so that it must end here */
    uint64_t work, joined; /* captured on it; and how much of that another stream of the capture has waited for */
    unsigned flags;
    int priority;
} Stream;

struct Graph {
    uint64_t nodes;
    int invalid;
    int forks;
    Stream *fork[MAX_FORKS]; /* streams that joined the capture by waiting for an event of it */
};

typedef struct {
    uint64_t at_ns;
    Graph *graph; /* where it was recorded in a capture */
    Stream *stream;
    uint64_t work; /* of the stream when it was recorded */
    unsigned flags;
} Event;

typedef struct {
    char name[256];
    unsigned char uuid[16];
    unsigned bus;
    size_t memory;
    int sms, major, minor;
    size_t held;
} Device;

typedef struct {
    char *start;
    size_t bytes;
    int device;
} Block;

static SimCounts in_memory;
SimCounts *sim_cuda = &in_memory; /* read by the tests */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Device devices[MAX_DEVICES];
static int device_count;
static long kernel_ns = 2000;
static Block blocks[MAX_BLOCKS];
static int blocks_used;
static Stream legacy; /* the default stream, of every device: they are one queue here */
static uint64_t all_busy_until_ns;
static int captures; /* in progress */
static __thread int device;
static __thread cudaError_t last_error;
static __thread enum cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void wait_until(uint64_t t_ns) {
    for (uint64_t now = now_ns(); now < t_ns; now = now_ns())
        if (t_ns - now > 200000) usleep(50);
}

/* ---- power that follows the load */

static char power_file[4096];
static double idle_w, busy_w;

static void *follow(void *unused) {
    (void)unused;
    int was = -1, quiet = 0; /* a look without work may be a host that was away: four in a row are rest */
    uint64_t seen = 0;
    for (;;) {
        uint64_t done = __atomic_load_n(&sim_cuda->launches, __ATOMIC_RELAXED) + __atomic_load_n(&sim_cuda->graph_launches, __ATOMIC_RELAXED);
        quiet = done != seen || all_busy_until_ns > now_ns() ? 0 : quiet + 1;
        int busy = was < 0 ? !quiet : quiet < 4;
        seen = done;
        if (busy != was) {
            char line[64];
            int n = snprintf(line, sizeof line, "%llu %g\n", (unsigned long long)now_ns(), busy ? busy_w : idle_w);
            int file = open(power_file, O_WRONLY | O_APPEND | O_CLOEXEC);
            if (file >= 0) {
                if (write(file, line, (size_t)n) != n) perror(power_file);
                close(file);
            }
            was = busy;
        }
        usleep(5000);
    }
    return NULL;
}

__attribute__((constructor)) static void begin(void) {
    const char *said = getenv("SIM_CUDA_DEVICES"), *kernel = getenv("SIM_CUDA_KERNEL_NS"), *power = getenv("SIM_CUDA_POWER"), *counts = getenv("SIM_CUDA_COUNTS");
    while (said && *said && device_count < MAX_DEVICES) {
        Device *d = &devices[device_count];
        char uuid[33] = "";
        if (sscanf(said, "%255[^|]|%32[0-9a-fA-F]|%x|%zu|%d|%d|%d", d->name, uuid, &d->bus, &d->memory, &d->sms, &d->major, &d->minor) != 7) break;
        for (int i = 0; i < 16; i++) sscanf(uuid + 2 * i, "%2hhx", &d->uuid[i]);
        device_count++;
        said = strchr(said, '\n');
        if (said) said++;
    }
    if (kernel) kernel_ns = atol(kernel);
    if (counts) {
        char place[4200];
        snprintf(place, sizeof place, "%s/%d", counts, getpid());
        int file = open(place, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        void *shared = file >= 0 && !ftruncate(file, sizeof *sim_cuda) ? mmap(0, sizeof *sim_cuda, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
        if (shared != MAP_FAILED) sim_cuda = shared;
        if (file >= 0) close(file);
    }
    if (power && sscanf(power, "%4095[^|]|%lf|%lf", power_file, &idle_w, &busy_w) == 3) {
        pthread_t thread;
        if (!pthread_create(&thread, NULL, follow, NULL)) pthread_detach(thread);
    }
}

/* ---- errors and capture */

static cudaError_t failed(cudaError_t error) {
    last_error = error;
    return error;
}

/* A call that a capture forbids: it fails, and the capture is lost. */
static cudaError_t illegal(Graph *graph, cudaError_t error, const char *what) {
    __atomic_add_fetch(&sim_cuda->illegal, 1, __ATOMIC_RELAXED);
    snprintf(sim_cuda->last_illegal, sizeof sim_cuda->last_illegal, "%s: %d", what, error);
    if (graph) graph->invalid = 1;
    return failed(error);
}

static Graph *capturing; /* the newest capture, which an unsafe call from anywhere makes invalid */

/* Potentially unsafe calls (allocation, synchronisation) are forbidden while any stream captures in global mode. */
static int unsafe(void) { return captures && capture_mode != cudaStreamCaptureModeRelaxed; }

#define UNSAFE() do { if (unsafe()) return illegal(capturing, cudaErrorStreamCaptureUnsupported, __func__); } while (0)

static Stream *of(cudaStream_t stream) {
    return stream == 0 || stream == cudaStreamLegacy || stream == cudaStreamPerThread ? &legacy : (Stream *)stream;
}

static void busy(Stream *stream, uint64_t ns) {
    uint64_t now = now_ns();
    if (stream->busy_until_ns < now) stream->busy_until_ns = now;
    stream->busy_until_ns += ns;
    if (stream->busy_until_ns > all_busy_until_ns) all_busy_until_ns = stream->busy_until_ns;
}

/* Work on a stream: a node of the graph that it captures, or time. True where it was captured. */
static int submitted(Stream *stream, uint64_t ns) {
    if (stream->graph) {
        stream->graph->nodes++;
        stream->work++;
        return 1;
    }
    if (ns) busy(stream, ns);
    return 0;
}

void sim_cuda_launch(void *stream) {
    __atomic_add_fetch(&sim_cuda->launches, 1, __ATOMIC_RELAXED);
    submitted(of(stream), (uint64_t)kernel_ns);
}

const char *cudaGetErrorName(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorNotSupported: return "cudaErrorNotSupported";
    case cudaErrorSystemNotReady: return "cudaErrorSystemNotReady";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureUnjoined: return "cudaErrorStreamCaptureUnjoined";
    case cudaErrorStreamCaptureIsolation: return "cudaErrorStreamCaptureIsolation";
    case cudaErrorStreamCaptureImplicit: return "cudaErrorStreamCaptureImplicit";
    case cudaErrorCapturedEvent: return "cudaErrorCapturedEvent";
    default: return "unknown to the simulated runtime";
    }
}

const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorSystemNotReady: return "system not yet initialized";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    default: return cudaGetErrorName(error);
    }
}

cudaError_t cudaGetLastError(void) {
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void) { return last_error; }

/* ---- kernels: registered, and launched for nothing */

void **__cudaRegisterFatBinary(void *binary) { static void *handle[4]; (void)binary; return handle; }
void __cudaRegisterFatBinaryEnd(void **handle) { (void)handle; }
void __cudaUnregisterFatBinary(void **handle) { (void)handle; }
void __cudaRegisterFunction(void) {}
void __cudaRegisterVar(void) {}
char __cudaInitModule(void **handle) { (void)handle; return 0; }

static __thread struct { dim3 grid, block; size_t shared; void *stream; } configuration;

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void *stream) {
    configuration.grid = grid, configuration.block = block, configuration.shared = shared, configuration.stream = stream;
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
    *grid = configuration.grid, *block = configuration.block, *shared = configuration.shared;
    *(void **)stream = configuration.stream;
    return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *entry) { *kernel = (cudaKernel_t)entry; return cudaSuccess; }

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t stream) {
    (void)kernel, (void)grid, (void)block, (void)arguments, (void)shared;
    sim_cuda_launch(stream);
    return cudaSuccess;
}

cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t stream) {
    return __cudaLaunchKernel((cudaKernel_t)function, grid, block, arguments, shared, stream);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *how, const void *function, void **arguments) {
    (void)function, (void)arguments;
    sim_cuda_launch(how->stream);
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *a, const void *function) {
    (void)function;
    memset(a, 0, sizeof *a);
    a->maxThreadsPerBlock = 1024, a->numRegs = 32, a->binaryVersion = a->ptxVersion = 90;
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute a, int value) { (void)function, (void)a, (void)value; return cudaSuccess; }

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *count, const void *function, int threads, size_t shared, unsigned flags) {
    (void)function, (void)shared, (void)flags;
    *count = threads > 64 ? 2048 / threads : 32;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *count, const void *function, int threads, size_t shared) {
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(count, function, threads, shared, 0);
}

cudaError_t cudaGetSymbolAddress(void **address, const void *symbol) { static char room[1 << 16]; (void)symbol; *address = room; return cudaSuccess; }
cudaError_t cudaMemcpyToSymbol(const void *symbol, const void *from, size_t bytes, size_t offset, enum cudaMemcpyKind kind) {
    (void)symbol, (void)from, (void)bytes, (void)offset, (void)kind;
    UNSAFE();
    return cudaSuccess;
}

/* ---- devices */

cudaError_t cudaGetDeviceCount(int *count) {
    const char *error = getenv("SIM_CUDA_INIT_ERROR");
    *count = error ? 0 : device_count;
    if (error) return failed((cudaError_t)atoi(error));
    return device_count ? cudaSuccess : failed(cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int *index) { *index = device; return cudaSuccess; }

cudaError_t cudaSetDevice(int index) {
    if (index < 0 || index >= device_count) return failed(cudaErrorInvalidDevice);
    device = index;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) { *version = CUDART_VERSION; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int *version) { *version = CUDART_VERSION; return cudaSuccess; }

/* Of an H100 (CUDA C++ Programming Guide, technical specifications of compute capability 9.0), but for what is said. */
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int index) {
    if (index < 0 || index >= device_count) return failed(cudaErrorInvalidDevice);
    Device *d = &devices[index];
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "%s", d->name);
    memcpy(&p->uuid, d->uuid, 16);
    p->totalGlobalMem = d->memory, p->multiProcessorCount = d->sms, p->major = d->major, p->minor = d->minor;
    p->pciBusID = (int)d->bus;
    p->sharedMemPerBlock = 49152, p->sharedMemPerBlockOptin = 232448, p->sharedMemPerMultiprocessor = 233472;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536, p->warpSize = 32;
    p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024, p->maxThreadsDim[2] = 64;
    p->maxThreadsPerMultiProcessor = 2048, p->maxBlocksPerMultiProcessor = 32;
    p->maxGridSize[0] = 2147483647, p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->l2CacheSize = 52428800, p->memoryBusWidth = 5120, p->totalConstMem = 65536, p->textureAlignment = 512;
    p->unifiedAddressing = p->concurrentKernels = p->managedMemory = p->clusterLaunch = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int index) {
    struct cudaDeviceProp p;
    cudaError_t error = cudaGetDeviceProperties(&p, index);
    if (error) return error;
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = (int)p.sharedMemPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = (int)p.sharedMemPerBlockOptin; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = (int)p.sharedMemPerMultiprocessor; break;
    case cudaDevAttrMaxRegistersPerBlock: *value = p.regsPerBlock; break;
    case cudaDevAttrWarpSize: *value = p.warpSize; break;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = p.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    case cudaDevAttrMaxGridDimX: *value = p.maxGridSize[0]; break;
    case cudaDevAttrMaxGridDimY: case cudaDevAttrMaxGridDimZ: *value = p.maxGridSize[1]; break;
    case cudaDevAttrL2CacheSize: *value = p.l2CacheSize; break;
    default: *value = 0;
    }
    return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int from, int to) { (void)from, (void)to; *can = 0; return cudaSuccess; }
cudaError_t cudaDeviceGetPCIBusId(char *text, int room, int index) {
    snprintf(text, (size_t)room, "0000:%02X:00.0", devices[index].bus);
    return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { *least = 0, *greatest = -5; return cudaSuccess; }

cudaError_t cudaDeviceSynchronize(void) {
    if (captures) return illegal(capturing, cudaErrorStreamCaptureUnsupported, __func__);
    sim_cuda->synchronisations++;
    wait_until(all_busy_until_ns);
    return cudaSuccess;
}

static int nothing(void) { return 0; }

cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned version, unsigned long long flags, enum cudaDriverEntryPointQueryResult *found) {
    (void)version, (void)flags;
    void *known = dlsym(RTLD_DEFAULT, name);
    *function = known ? known : (void *)nothing;
    if (found) *found = cudaDriverEntryPointSuccess;
    return cudaSuccess;
}

cudaError_t cudaProfilerStart(void) { return cudaSuccess; }
cudaError_t cudaProfilerStop(void) { return cudaSuccess; }

/* ---- memory */

cudaError_t cudaMalloc(void **place, size_t bytes) {
    UNSAFE();
    Device *d = &devices[device];
    pthread_mutex_lock(&lock);
    if (d->held + bytes > d->memory) {
        pthread_mutex_unlock(&lock);
        return failed(cudaErrorMemoryAllocation);
    }
    char *start = mmap(0, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int i = 0;
    while (i < blocks_used && blocks[i].start) i++;
    if (start == MAP_FAILED || i == MAX_BLOCKS) {
        pthread_mutex_unlock(&lock);
        return failed(cudaErrorMemoryAllocation);
    }
    if (i == blocks_used) blocks_used++;
    blocks[i] = (Block){start, bytes, device};
    d->held += bytes;
    sim_cuda->allocations[device]++;
    pthread_mutex_unlock(&lock);
    *place = start;
    return cudaSuccess;
}

cudaError_t cudaFree(void *place) {
    if (!place) return cudaSuccess;
    UNSAFE();
    pthread_mutex_lock(&lock);
    for (int i = 0; i < blocks_used; i++) {
        if (blocks[i].start != place) continue;
        munmap(place, blocks[i].bytes ? blocks[i].bytes : 1);
        devices[blocks[i].device].held -= blocks[i].bytes;
        blocks[i].start = NULL;
        break;
    }
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_, size_t *total) {
    *total = devices[device].memory, *free_ = *total - devices[device].held;
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **place, size_t bytes, unsigned flags) { (void)flags; UNSAFE(); *place = calloc(1, bytes); return cudaSuccess; }
cudaError_t cudaMallocHost(void **place, size_t bytes) { return cudaHostAlloc(place, bytes, 0); }
cudaError_t cudaFreeHost(void *place) { free(place); return cudaSuccess; }
cudaError_t cudaHostRegister(void *place, size_t bytes, unsigned flags) { (void)place, (void)bytes, (void)flags; return cudaSuccess; }
cudaError_t cudaHostUnregister(void *place) { (void)place; return cudaSuccess; }

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *a, const void *place) {
    memset(a, 0, sizeof *a);
    a->type = cudaMemoryTypeUnregistered, a->device = device;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < blocks_used; i++) {
        char *start = blocks[i].start;
        if (!start || (char *)place < start || (char *)place >= start + blocks[i].bytes) continue;
        a->type = cudaMemoryTypeDevice, a->device = blocks[i].device;
        a->devicePointer = a->hostPointer = (void *)place;
    }
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    (void)kind;
    UNSAFE();
    sim_cuda->synchronisations++;
    wait_until(legacy.busy_until_ns);
    memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream) {
    (void)kind;
    if (!submitted(of(stream), 0)) memmove(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemset(void *place, int value, size_t bytes) { UNSAFE(); memset(place, value, bytes); return cudaSuccess; }
cudaError_t cudaMemsetAsync(void *place, int value, size_t bytes, cudaStream_t stream) {
    if (!submitted(of(stream), 0)) memset(place, value, bytes);
    return cudaSuccess;
}

/* ---- streams */

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority) {
    Stream *made = calloc(1, sizeof *made);
    made->flags = flags, made->priority = priority;
    *stream = (cudaStream_t)made;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) { return cudaStreamCreateWithPriority(stream, flags, 0); }
cudaError_t cudaStreamCreate(cudaStream_t *stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { (void)stream; return cudaSuccess; } /* an event may still know it */
cudaError_t cudaStreamGetPriority(cudaStream_t stream, int *priority) { *priority = of(stream)->priority; return cudaSuccess; }

cudaError_t cudaStreamQuery(cudaStream_t stream) {
    if (of(stream)->graph) return illegal(of(stream)->graph, cudaErrorStreamCaptureUnsupported, __func__);
    UNSAFE();
    return now_ns() >= of(stream)->busy_until_ns ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    if (of(stream)->graph) return illegal(of(stream)->graph, cudaErrorStreamCaptureUnsupported, __func__);
    UNSAFE();
    sim_cuda->synchronisations++;
    wait_until(of(stream)->busy_until_ns);
    return cudaSuccess;
}

cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t call, void *data, unsigned flags) {
    (void)flags;
    if (of(stream)->graph) return illegal(of(stream)->graph, cudaErrorStreamCaptureUnsupported, __func__);
    call(stream, cudaSuccess, data);
    return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t call, void *data) {
    if (!submitted(of(stream), 0)) call(data);
    return cudaSuccess;
}

/* ---- events */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    Event *made = calloc(1, sizeof *made);
    made->flags = flags;
    *event = (cudaEvent_t)made;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { free(event); return cudaSuccess; }

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
    (void)flags;
    Event *e = (Event *)event;
    uint64_t now = now_ns();
    e->stream = of(stream), e->graph = e->stream->graph, e->work = e->stream->work;
    e->at_ns = e->stream->busy_until_ns > now ? e->stream->busy_until_ns : now;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) { return cudaEventRecordWithFlags(event, stream, 0); }

cudaError_t cudaEventQuery(cudaEvent_t event) {
    Event *e = (Event *)event;
    if (e->graph) return illegal(capturing, cudaErrorCapturedEvent, __func__);
    UNSAFE();
    return now_ns() >= e->at_ns ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    Event *e = (Event *)event;
    if (e->graph) return illegal(capturing, cudaErrorCapturedEvent, __func__);
    UNSAFE();
    sim_cuda->synchronisations++;
    wait_until(e->at_ns);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    Event *first = (Event *)from, *second = (Event *)to;
    if ((first->flags | second->flags) & cudaEventDisableTiming) return failed(cudaErrorInvalidResourceHandle);
    *ms = (float)((double)(second->at_ns - first->at_ns) / 1e6);
    return cudaSuccess;
}

/* A stream that waits for a captured event joins its capture; a stream that captures waits for nothing outside of it. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    (void)flags;
    Stream *s = of(stream);
    Event *e = (Event *)event;
    if (!e->at_ns) return cudaSuccess;
    if (s->graph && e->graph != s->graph)
        return illegal(s->graph, cudaErrorStreamCaptureIsolation, "a capturing stream waits for an event of outside");
    if (!s->graph && e->graph && captures) {
        if (s == &legacy) return illegal(e->graph, cudaErrorStreamCaptureImplicit, "the default stream waits for a captured event");
        if (e->graph->forks == MAX_FORKS) return failed(cudaErrorInvalidValue);
        e->graph->fork[e->graph->forks++] = s;
        s->graph = e->graph, s->origin = 0, s->work = s->joined = 0;
        return cudaSuccess;
    }
    if (s->graph) { /* two streams of one capture: what was recorded is waited for */
        if (e->work > e->stream->joined) e->stream->joined = e->work, s->work++;
        return cudaSuccess;
    }
    if (e->at_ns > s->busy_until_ns) s->busy_until_ns = e->at_ns;
    if (s->busy_until_ns > all_busy_until_ns) all_busy_until_ns = s->busy_until_ns;
    return cudaSuccess;
}

/* ---- graphs */

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode) {
    enum cudaStreamCaptureMode before = capture_mode;
    capture_mode = *mode;
    *mode = before;
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    (void)mode;
    Stream *s = of(stream);
    if (s == &legacy || s->graph) return illegal(NULL, cudaErrorStreamCaptureUnsupported, __func__);
    s->graph = capturing = calloc(1, sizeof *s->graph); /* never freed: events may know it */
    s->origin = 1, s->work = s->joined = 0;
    captures++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    Stream *s = of(stream);
    Graph *g = s->graph;
    if (!g || !s->origin) return illegal(g, cudaErrorStreamCaptureUnsupported, __func__);
    int unjoined = 0;
    for (int i = 0; i < g->forks; i++) {
        unjoined |= g->fork[i]->work > g->fork[i]->joined;
        g->fork[i]->graph = NULL;
    }
    s->graph = NULL;
    captures--;
    *graph = NULL;
    if (g->invalid) return failed(cudaErrorStreamCaptureInvalidated);
    if (unjoined) return illegal(g, cudaErrorStreamCaptureUnjoined, "a stream of the capture was not joined");
    *graph = (cudaGraph_t)g;
    sim_cuda->captured++;
    return cudaSuccess;
}

static enum cudaStreamCaptureStatus status(Graph *graph) {
    return !graph ? cudaStreamCaptureStatusNone : graph->invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *said) { *said = status(of(stream)->graph); return cudaSuccess; }

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, enum cudaStreamCaptureStatus *said, unsigned long long *id, cudaGraph_t *graph, const cudaGraphNode_t **before, const cudaGraphEdgeData **edges, size_t *count) {
    static cudaGraphNode_t none[1];
    Graph *g = of(stream)->graph;
    *said = status(g);
    if (id) *id = (unsigned long long)(uintptr_t)g;
    if (graph) *graph = (cudaGraph_t)g;
    if (before) *before = none;
    if (edges) *edges = NULL;
    if (count) *count = 0;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *made, cudaGraph_t graph, unsigned long long flags) { (void)flags; *made = (cudaGraphExec_t)graph; return cudaSuccess; }
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *made, cudaGraph_t graph, unsigned long long flags) { return cudaGraphInstantiateWithFlags(made, graph, flags); }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { (void)graph; return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { (void)graph; return cudaSuccess; }
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count) { (void)nodes; *count = ((Graph *)graph)->nodes; return cudaSuccess; }

/* Its kernels without the gaps between them: half of their time. */
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    __atomic_add_fetch(&sim_cuda->graph_launches, 1, __ATOMIC_RELAXED);
    submitted(of(stream), ((Graph *)graph)->nodes * (uint64_t)kernel_ns / 2);
    return cudaSuccess;
}
