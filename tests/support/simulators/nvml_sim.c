/* A simulated libnvidia-ml.so.1. Layouts are those of nvml.h; what each GPU answers is in the script (see simcore.h).
 * A function that is not here does not exist, as on an older driver: pynvml then says "function not found". */
#define VENDOR "nvidia"
enum { UNINITIALISED = 1, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, DRIVER_NOT_LOADED = 9,
       BAD_VERSION = 25, TRANSIENT = 999 };
#include "simcore.h"

typedef struct { unsigned version; u64 total, reserved, free, used; } MemoryV2;
typedef struct { unsigned version, sensor; int celsius; } TemperatureV1;
typedef struct { unsigned pid; u64 memory; unsigned gpu_instance, compute_instance; } Process;
typedef struct { char legacy[16]; unsigned domain, bus, device, device_id, subsystem_id; char id[32]; } Pci;
typedef struct { unsigned id, scope; long long wall_us, latency_us; unsigned type, code; u64 value; } Field;
_Static_assert(sizeof(MemoryV2) == 40 && sizeof(TemperatureV1) == 12 && sizeof(Process) == 24, "nvml.h");
_Static_assert(sizeof(Pci) == 68 && sizeof(Field) == 40, "nvml.h");

#define ENTER() do { int code_ = enter(g, __func__); if (code_) return code_; } while (0)
#define NUMBER_IS(function, type) int function(const Gpu *g, type *out) { \
    ENTER(); return put(g, find(g, __func__), out, sizeof *out); }
#define NUMBER_OF(function) int function(const Gpu *g, unsigned which, unsigned *out) { \
    ENTER(); return put(g, answer(g, "%s.%u", __func__, which), out, sizeof *out); }
#define PAIR_IS(function) int function(const Gpu *g, unsigned *first, unsigned *second) { \
    ENTER(); int code = put(g, answer(g, "%s.0", __func__), first, sizeof *first); \
    return code ? code : put(g, answer(g, "%s.1", __func__), second, sizeof *second); }
#define TEXT_IS(function) int function(const Gpu *g, char *out, unsigned size) { \
    ENTER(); return text(find(g, __func__), out, size); }
#define OF_SYSTEM(function) int function(char *out, unsigned size) { \
    count_call(__func__); return users ? text(find(&everywhere, __func__), out, size) : UNINITIALISED; }
#define SYSTEM_NUMBER(function) int function(int *out) { \
    count_call(__func__); return put(&everywhere, find(&everywhere, __func__), out, sizeof *out); }

static int text(const Entry *e, char *out, unsigned size) {
  if (!e) return UNSUPPORTED;
  if (strlen(e->text) >= size) return TOO_SMALL;
  strcpy(out, e->text);
  return 0;
}

int nvmlInitWithFlags(unsigned flags) { return (void)flags, start(__func__); }
int nvmlInit_v2(void) { return start(__func__); }
int nvmlShutdown(void) { return stop(__func__); }
const char *nvmlErrorString(int code) {
  static char words[32];
  snprintf(words, sizeof words, "simulated error %d", code);
  return words;
}
OF_SYSTEM(nvmlSystemGetDriverVersion)
OF_SYSTEM(nvmlSystemGetNVMLVersion)
SYSTEM_NUMBER(nvmlSystemGetCudaDriverVersion)
SYSTEM_NUMBER(nvmlSystemGetCudaDriverVersion_v2)

/* ---- handles: a MIG device is a GPU of the script that names its parent */

static Gpu *nth(long parent, unsigned index) { /* the index-th GPU with this parent (-1: a whole GPU) */
  for (int i = 0; i < gpu_count; i++)
    if ((long)setting(&gpus[i], "parent", -1) == parent && !index--) return &gpus[i];
  return NULL;
}

static int give(Gpu *g, Gpu **out, const char *function) {
  count_call(function);
  if (!users) return UNINITIALISED;
  *out = g;
  return g ? 0 : NOT_FOUND;
}

int nvmlDeviceGetCount_v2(unsigned *out) {
  count_call(__func__);
  if (!users) return UNINITIALISED;
  for (*out = 0; nth(-1, *out); ++*out) {}
  return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **out) {
  int code = give(nth(-1, index), out, __func__);
  return code == NOT_FOUND ? INVALID : code ? code : fault(*out, __func__);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Gpu **out) {
  Gpu *g = NULL;
  for (int i = 0; i < gpu_count; i++) {
    const Entry *e = find(&gpus[i], "nvmlDeviceGetUUID");
    if (e && !strcmp(e->text, uuid)) g = &gpus[i];
  }
  return give(g, out, __func__);
}

static int address(const char *text, Pci *p) {
  unsigned function;
  return text && sscanf(text, "%x:%x:%x.%x", &p->domain, &p->bus, &p->device, &function) >= 3;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *id, Gpu **out) {
  Pci asked, has;
  Gpu *g = NULL;
  if (!address(id, &asked)) return INVALID;
  for (int i = 0; i < gpu_count; i++) {
    const Entry *e = find(&gpus[i], "nvmlDeviceGetPciInfo_v3");
    if (!e || !address(e->text, &has)) continue;
    if (asked.domain == has.domain && asked.bus == has.bus && asked.device == has.device) g = &gpus[i];
  }
  return give(g, out, __func__);
}

int nvmlDeviceGetPciInfo_v3(const Gpu *g, Pci *out) {
  ENTER();
  const Entry *e = find(g, __func__);
  if (!e) return UNSUPPORTED;
  memset(out, 0, sizeof *out);
  address(e->text, out);
  unsigned bus = out->bus & 0xFF, device = out->device & 0xFF;
  snprintf(out->legacy, sizeof out->legacy, "%04x:%02x:%02x.0", out->domain & 0xFFFF, bus, device);
  snprintf(out->id, sizeof out->id, "%08X:%02X:%02X.0", out->domain, bus, device);
  return 0;
}

PAIR_IS(nvmlDeviceGetMigMode)
NUMBER_IS(nvmlDeviceGetMaxMigDeviceCount, unsigned)

int nvmlDeviceGetMigDeviceHandleByIndex(const Gpu *g, unsigned index, Gpu **out) {
  ENTER();
  *out = nth((long)(g - gpus), index);
  return *out ? 0 : NOT_FOUND;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(const Gpu *g, Gpu **out) {
  ENTER();
  long parent = (long)setting(g, "parent", -1);
  *out = parent < 0 ? NULL : &gpus[parent];
  return *out ? 0 : INVALID;
}

int nvmlDeviceIsMigDeviceHandle(const Gpu *g, unsigned *out) {
  ENTER();
  *out = find(g, "parent") != NULL;
  return 0;
}

/* ---- one function, one answer */

TEXT_IS(nvmlDeviceGetName)
TEXT_IS(nvmlDeviceGetUUID)
TEXT_IS(nvmlDeviceGetSerial)
TEXT_IS(nvmlDeviceGetVbiosVersion)
NUMBER_IS(nvmlDeviceGetIndex, unsigned)
NUMBER_IS(nvmlDeviceGetArchitecture, unsigned)
NUMBER_IS(nvmlDeviceGetPersistenceMode, unsigned)
NUMBER_IS(nvmlDeviceGetPerformanceState, unsigned)
NUMBER_IS(nvmlDeviceGetNumFans, unsigned)
NUMBER_IS(nvmlDeviceGetPowerUsage, unsigned)
NUMBER_IS(nvmlDeviceGetEnforcedPowerLimit, unsigned)
NUMBER_IS(nvmlDeviceGetPowerManagementLimit, unsigned)
NUMBER_IS(nvmlDeviceGetPowerManagementDefaultLimit, unsigned)
NUMBER_IS(nvmlDeviceGetCurrPcieLinkGeneration, unsigned)
NUMBER_IS(nvmlDeviceGetCurrPcieLinkWidth, unsigned)
NUMBER_IS(nvmlDeviceGetMaxPcieLinkGeneration, unsigned)
NUMBER_IS(nvmlDeviceGetMaxPcieLinkWidth, unsigned)
NUMBER_IS(nvmlDeviceGetTotalEnergyConsumption, u64)
NUMBER_IS(nvmlDeviceGetCurrentClocksEventReasons, u64)
NUMBER_IS(nvmlDeviceGetCurrentClocksThrottleReasons, u64)
NUMBER_OF(nvmlDeviceGetTemperature)
NUMBER_OF(nvmlDeviceGetClockInfo)
NUMBER_OF(nvmlDeviceGetMaxClockInfo)
NUMBER_OF(nvmlDeviceGetFanSpeed_v2)
PAIR_IS(nvmlDeviceGetCudaComputeCapability)
PAIR_IS(nvmlDeviceGetEccMode)
PAIR_IS(nvmlDeviceGetPowerManagementLimitConstraints)

int nvmlDeviceGetUtilizationRates(const Gpu *g, unsigned out[2]) {
  ENTER();
  int code = put(g, answer(g, "%s.gpu", __func__), out, sizeof *out);
  return code ? code : put(g, answer(g, "%s.memory", __func__), out + 1, sizeof *out);
}

int nvmlDeviceGetTotalEccErrors(const Gpu *g, unsigned type, unsigned counter, u64 *out) {
  ENTER();
  return put(g, answer(g, "%s.%u.%u", __func__, type, counter), out, sizeof *out);
}

int nvmlDeviceGetTemperatureV(const Gpu *g, TemperatureV1 *out) {
  ENTER();
  if (out->version != (sizeof *out | 1 << 24)) return BAD_VERSION;
  return put(g, answer(g, "nvmlDeviceGetTemperature.%u", out->sensor), &out->celsius, sizeof out->celsius);
}

int nvmlDeviceGetMemoryInfo_v2(const Gpu *g, MemoryV2 *out) {
  ENTER();
  if (out->version != (sizeof *out | 2 << 24)) return BAD_VERSION;
  out->reserved = 0;
  put(g, find(g, "memory.reserved"), &out->reserved, sizeof out->reserved);
  if (put(g, find(g, "memory.total"), &out->total, sizeof out->total)) return UNSUPPORTED;
  put(g, find(g, "memory.used"), &out->used, sizeof out->used);
  out->free = out->total - out->used - out->reserved;
  return 0;
}

int nvmlDeviceGetMemoryInfo(const Gpu *g, u64 out[3]) { /* total, free, used: here "used" includes the reserved */
  ENTER();
  MemoryV2 m = {.reserved = 0};
  put(g, find(g, "memory.reserved"), &m.reserved, sizeof m.reserved);
  if (put(g, find(g, "memory.total"), &m.total, sizeof m.total)) return UNSUPPORTED;
  put(g, find(g, "memory.used"), &m.used, sizeof m.used);
  out[0] = m.total, out[2] = m.used + m.reserved, out[1] = out[0] - out[2];
  return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(const Gpu *g, unsigned *count, Process *out) {
  ENTER();
  unsigned room = *count, pid;
  const Entry *total = find(g, __func__);
  if (!total) return UNSUPPORTED;
  *count = (unsigned)total->a;
  if (*count > room) return TOO_SMALL;
  for (unsigned i = 0; i < *count; i++) {
    put(g, answer(g, "process.%u.pid", i), &pid, sizeof pid);
    out[i] = (Process){.pid = pid, .gpu_instance = ~0U, .compute_instance = ~0U};
    put(g, answer(g, "process.%u.memory", i), &out[i].memory, sizeof out[i].memory);
  }
  return 0;
}

int nvmlDeviceGetFieldValues(const Gpu *g, int count, Field *fields) { /* succeeds; each field has its own code */
  static const unsigned wide[] = {74, 75, 76, 77, 78, 83, 191, 197, 198, 269, 270, 271}; /* energy, times, bytes */
  ENTER();
  for (Field *f = fields; f < fields + count; f++) {
    char key[KEY_SIZE];
    snprintf(key, sizeof key, f->scope ? "field.%u.%u" : "field.%u", f->id, f->scope);
    f->wall_us = now_ns() / 1000, f->latency_us = 0, f->value = 0, f->type = 1;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
      if (wide[i] == f->id) f->type = 3;
    int code = fault(g, key);
    f->code = (unsigned)(code ? code : put(g, find(g, key), &f->value, f->type == 3 ? sizeof(u64) : sizeof(unsigned)));
  }
  return 0;
}
