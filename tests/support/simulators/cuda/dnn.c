/* Simulated cuDNN: descriptors keep what they are told, one engine fits every convolution, and work is launches.
 *
 * Names and layouts are those of cudnn.h. What PyTorch needs beside this is made when the library is built.
 */
#include <cuda_runtime_api.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cudnn.h"

#include "cuda_sim.h"

typedef struct { void *stream; } Handle;
typedef struct { int type, n, size[8], stride[8]; } Tensor;
typedef struct { int mode, input, hidden, layers, directions, type; } Rnn;

size_t cudnnGetVersion(void) { return CUDNN_VERSION; }
size_t cudnnGetCudartVersion(void) { return CUDART_VERSION; }
const char *cudnnGetErrorString(cudnnStatus_t status) { return status ? "a simulated error" : "CUDNN_STATUS_SUCCESS"; }
void cudnnGetLastErrorString(char *message, size_t room) { if (room) *message = 0; }

cudnnStatus_t cudnnGetProperty(libraryPropertyType which, int *value) {
    *value = which == MAJOR_VERSION ? CUDNN_MAJOR : which == MINOR_VERSION ? CUDNN_MINOR : CUDNN_PATCHLEVEL;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) { *handle = calloc(1, sizeof(Handle)); return CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { free(handle); return CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) { ((Handle *)handle)->stream = stream; return CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream) { *stream = ((Handle *)handle)->stream; return CUDNN_STATUS_SUCCESS; }

/* ---- descriptors */

#define DESCRIPTOR(NAME, TYPE) \
    cudnnStatus_t cudnnCreate##NAME(TYPE *d) { *d = calloc(1, 512); return CUDNN_STATUS_SUCCESS; } \
    cudnnStatus_t cudnnDestroy##NAME(TYPE d) { free(d); return CUDNN_STATUS_SUCCESS; }

DESCRIPTOR(TensorDescriptor, cudnnTensorDescriptor_t)
DESCRIPTOR(FilterDescriptor, cudnnFilterDescriptor_t)
DESCRIPTOR(RNNDescriptor, cudnnRNNDescriptor_t)
DESCRIPTOR(RNNDataDescriptor, cudnnRNNDataDescriptor_t)
DESCRIPTOR(DropoutDescriptor, cudnnDropoutDescriptor_t)
DESCRIPTOR(ConvolutionDescriptor, cudnnConvolutionDescriptor_t)
DESCRIPTOR(ActivationDescriptor, cudnnActivationDescriptor_t)
DESCRIPTOR(PoolingDescriptor, cudnnPoolingDescriptor_t)

cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t descriptor, cudnnDataType_t type, int n, const int *size, const int *stride) {
    Tensor *t = (Tensor *)descriptor;
    t->type = type, t->n = n;
    for (int i = 0; i < n && i < 8; i++) t->size[i] = size[i], t->stride[i] = stride[i];
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetTensorNdDescriptor(const cudnnTensorDescriptor_t descriptor, int wanted, cudnnDataType_t *type, int *n, int *size, int *stride) {
    Tensor *t = (Tensor *)descriptor;
    *type = t->type, *n = t->n;
    for (int i = 0; i < t->n && i < wanted; i++) size[i] = t->size[i], stride[i] = t->stride[i];
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDropoutGetStatesSize(cudnnHandle_t handle, size_t *bytes) { (void)handle; *bytes = 1 << 16; return CUDNN_STATUS_SUCCESS; }

/* ---- recurrent layers */

cudnnStatus_t cudnnSetRNNDescriptor_v8(cudnnRNNDescriptor_t descriptor, cudnnRNNAlgo_t algorithm, cudnnRNNMode_t mode, cudnnRNNBiasMode_t bias, cudnnDirectionMode_t direction, cudnnRNNInputMode_t input_mode, cudnnDataType_t type, cudnnDataType_t precision, cudnnMathType_t math, int32_t input, int32_t hidden, int32_t projection, int32_t layers, cudnnDropoutDescriptor_t dropout, uint32_t flags) {
    (void)algorithm, (void)bias, (void)input_mode, (void)precision, (void)math, (void)projection, (void)dropout, (void)flags;
    *(Rnn *)descriptor = (Rnn){mode, input, hidden, layers, direction == CUDNN_BIDIRECTIONAL ? 2 : 1, type};
    return CUDNN_STATUS_SUCCESS;
}

static size_t gates(const Rnn *r) { return r->mode == CUDNN_LSTM ? 4 : r->mode == CUDNN_GRU ? 3 : 1; }
static size_t bytes_of(int type) { return type == CUDNN_DATA_HALF || type == CUDNN_DATA_BFLOAT16 ? 2 : type == CUDNN_DATA_DOUBLE ? 8 : 4; }

cudnnStatus_t cudnnGetRNNWeightSpaceSize(cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor, size_t *bytes) {
    (void)handle;
    Rnn *r = (Rnn *)descriptor;
    size_t each = (size_t)r->hidden * (size_t)(r->input + r->hidden + 2);
    *bytes = bytes_of(r->type) * gates(r) * (size_t)r->directions * each * (size_t)r->layers;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetRNNTempSpaceSizes(cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor, cudnnForwardMode_t mode, cudnnRNNDataDescriptor_t x, size_t *work, size_t *reserve) {
    (void)handle, (void)descriptor, (void)mode, (void)x;
    *work = 1 << 20;
    if (reserve) *reserve = 1 << 20;
    return CUDNN_STATUS_SUCCESS;
}

/* Where a matrix and its bias lie in the weights of one layer: all input matrices, all recurrent ones, then the biases. */
cudnnStatus_t cudnnGetRNNWeightParams(cudnnHandle_t handle, cudnnRNNDescriptor_t descriptor, int32_t layer, size_t bytes, const void *weights, int32_t id, cudnnTensorDescriptor_t matrix, void **matrix_place, cudnnTensorDescriptor_t bias, void **bias_place) {
    (void)handle, (void)layer, (void)bytes;
    Rnn *r = (Rnn *)descriptor;
    size_t g = gates(r), each = bytes_of(r->type), hidden = (size_t)r->hidden, input = (size_t)r->input;
    size_t gate = (size_t)id % g, recurrent = (size_t)id >= g, columns = recurrent ? hidden : input;
    char *start = (char *)weights;
    if (matrix_place) *matrix_place = start + each * ((recurrent ? g * hidden * input : 0) + gate * hidden * columns);
    if (matrix) *(Tensor *)matrix = (Tensor){r->type, 3, {1, r->hidden, (int)columns}, {(int)(hidden * columns), (int)columns, 1}};
    if (bias_place) *bias_place = start + each * (g * hidden * input + g * hidden * hidden + (size_t)id * hidden);
    if (bias) *(Tensor *)bias = (Tensor){r->type, 3, {1, r->hidden, 1}, {r->hidden, 1, 1}};
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t launched(cudnnHandle_t handle, int kernels) {
    while (kernels--) sim_cuda_launch(((Handle *)handle)->stream);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnRNNForward(cudnnHandle_t handle, cudnnRNNDescriptor_t d, cudnnForwardMode_t mode, const int32_t *lengths, cudnnRNNDataDescriptor_t xd, const void *x, cudnnRNNDataDescriptor_t yd, void *y, cudnnTensorDescriptor_t hd, const void *hx, void *hy, cudnnTensorDescriptor_t cd, const void *cx, void *cy, size_t ws, const void *w, size_t wk, void *work, size_t rs, void *reserve) {
    (void)d, (void)mode, (void)lengths, (void)xd, (void)x, (void)yd, (void)y, (void)hd, (void)hx, (void)hy, (void)cd, (void)cx, (void)cy, (void)ws, (void)w, (void)wk, (void)work, (void)rs, (void)reserve;
    return launched(handle, 4);
}

cudnnStatus_t cudnnRNNBackwardData_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t d, const int32_t *lengths, cudnnRNNDataDescriptor_t yd, const void *y, const void *dy, cudnnRNNDataDescriptor_t xd, void *dx, cudnnTensorDescriptor_t hd, const void *hx, const void *dhy, void *dhx, cudnnTensorDescriptor_t cd, const void *cx, const void *dcy, void *dcx, size_t ws, const void *w, size_t wk, void *work, size_t rs, void *reserve) {
    (void)d, (void)lengths, (void)yd, (void)y, (void)dy, (void)xd, (void)dx, (void)hd, (void)hx, (void)dhy, (void)dhx, (void)cd, (void)cx, (void)dcy, (void)dcx, (void)ws, (void)w, (void)wk, (void)work, (void)rs, (void)reserve;
    return launched(handle, 4);
}

cudnnStatus_t cudnnRNNBackwardWeights_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t d, cudnnWgradMode_t mode, const int32_t *lengths, cudnnRNNDataDescriptor_t xd, const void *x, cudnnTensorDescriptor_t hd, const void *hx, cudnnRNNDataDescriptor_t yd, const void *y, size_t ws, void *dw, size_t wk, void *work, size_t rs, void *reserve) {
    (void)d, (void)mode, (void)lengths, (void)xd, (void)x, (void)hd, (void)hx, (void)yd, (void)y, (void)ws, (void)dw, (void)wk, (void)work, (void)rs, (void)reserve;
    return launched(handle, 2);
}

/* ---- the backend of convolutions: one engine, without knobs or notes, which fits everything */

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d) { (void)type; *d = calloc(1, 256); return CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d) { free(d); return CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d) { (void)d; return CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    (void)d, (void)name, (void)type, (void)count, (void)values;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t wanted, int64_t *count, void *values) {
    (void)d;
    int none = name == CUDNN_ATTR_ENGINECFG_KNOB_CHOICES || name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE ||
               name == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE || name == CUDNN_ATTR_ENGINE_KNOB_INFO;
    if (count) *count = !none;
    if (!none && values && wanted > 0 && type != CUDNN_TYPE_BACKEND_DESCRIPTOR) memset(values, 0, 8);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t variants) { (void)plan, (void)variants; return launched(handle, 1); }
