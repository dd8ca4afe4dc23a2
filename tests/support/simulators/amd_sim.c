/* A simulated libamd_smi.so: what the tables of amd_layout.py cannot say. Most functions are there, and come here to
 * answer_shape: the script holds "amdsmi_get_power_info.power_limit" for a field, "amdsmi_get_temp_metric.1.0.value"
 * for a number behind selectors. A field that this wheel does not have is left out, as the library of that ROCm would. */
#define VENDOR "amd"
enum { INVALID = 1, UNSUPPORTED = 2, TRANSIENT = 9, NOT_FOUND = 31, UNINITIALISED = 32, DRIVER_NOT_LOADED = 34 };
#include "simcore.h"
#include "amd_layout.h"

#ifndef OVERSIZE_BYTES
#define OVERSIZE_BYTES 0 /* how much larger this library's gpu_metrics and enumeration_info are than the wheel's;
                          * negative: how much smaller gpu_metrics is */
#endif
#define ENTER() do { int code_ = enter(g, __func__); if (code_) return code_; } while (0)

static void store(const Gpu *g, const Field *f, const Entry *e, unsigned char *image) {
  unsigned char *to = image + f->offset;
  char *next = e->text;
  if (f->kind == 's') strncpy((char *)to, e->text, f->count - 1), to[f->count - 1] = 0;
  else if (f->kind == 'p') memcpy(to, &e->text, sizeof e->text);
  else if (e->kind == ALL_ONES) memset(to, 0xFF, f->size * f->count);
  else if (e->kind != NUMBER || f->count == 1) put(g, e, to, f->size);
  else for (unsigned i = 0; i < f->count && *next; i++) { /* a list of numbers */
    u64 number = strtoull(next, &next, 0);
    memcpy(to + i * f->size, &number, f->size);
  }
}

/* Fill a struct with every entry under a prefix; false when there is none. */
static int fill(const Gpu *g, const Shape *shape, const char *prefix, void *image) {
  int found = 0;
  size_t n = strlen(prefix);
  memset(image, (int)shape->fill, shape->size);
  for (Entry *e = g->entries; e < g->entries + g->count; e++) {
    if (strncmp(e->key, prefix, n) || e->key[n] != '.') continue;
    const Field *f = e->place;
    for (unsigned i = 0; !f && i < shape->count; i++)
      if (!strcmp(shape->fields[i].name, e->key + n + 1)) f = &shape->fields[i];
    if (!f || strcmp(f->name, e->key + n + 1)) continue;
    store(g, f, e, image);
    e->place = f, found = 1;
  }
  return found;
}

int answer_shape(void *handle, const Shape *shape, void *out, int selectors, unsigned first, unsigned second) {
  const Gpu *g = handle;
  char prefix[KEY_SIZE];
  unsigned char image[shape->size];
  int code = enter(g, shape->function), room = (int)shape->size;
  if (code) return code;
  if (!out) return INVALID;
  const char *const formats[] = {"%s", "%s.%u", "%s.%u.%u"};
  snprintf(prefix, sizeof prefix, formats[selectors], shape->function, first, second);
  /* Some functions gained or lost a selector from one ROCm to the next: the script's plain name serves for 0. */
  if (!fill(g, shape, prefix, image) && (first || second || !fill(g, shape, shape->function, image)))
    return UNSUPPORTED;
  if (!strcmp(shape->function, "amdsmi_get_gpu_metrics_info")) room += OVERSIZE_BYTES;
  if (!strcmp(shape->function, "amdsmi_get_gpu_enumeration_info") && OVERSIZE_BYTES > 0) room += OVERSIZE_BYTES;
  if (room > (int)shape->size) memset((char *)out + shape->size, 0xEE, (size_t)room - shape->size);
  memcpy(out, image, (size_t)room < shape->size ? (size_t)room : shape->size);
  return 0;
}

int amdsmi_init(u64 flags) { return (void)flags, start(__func__); }
int amdsmi_shut_down(void) { return stop(__func__); }

int amdsmi_get_lib_version(void *out) { /* works before init */
  count_call(__func__);
  load_script();
  return fill(&everywhere, &shape_amdsmi_get_lib_version, __func__, out) ? 0 : UNSUPPORTED;
}

int amdsmi_get_processor_type(const Gpu *g, unsigned *out) {
  ENTER();
  *out = 1; /* an AMD GPU */
  return 0;
}

/* A socket's handle is that of its first GPU; partitions share one. A null array asks for the number alone. */
static int list(const Gpu *socket, unsigned *count, const Gpu **out) {
  unsigned room = *count, n = 0;
  for (int i = 0; i < gpu_count; i++) {
    int first = (int)setting(&gpus[i], "socket", i);
    if (socket ? &gpus[first] != socket : first != i) continue;
    if (out && n < room) out[n] = &gpus[i];
    n++;
  }
  *count = n;
  return 0;
}

int amdsmi_get_socket_handles(unsigned *count, const Gpu **out) {
  count_call(__func__);
  return users ? list(NULL, count, out) : UNINITIALISED;
}

int amdsmi_get_processor_handles(const Gpu *socket, unsigned *count, const Gpu **out) {
  count_call(__func__);
  return !users ? UNINITIALISED : !socket ? INVALID : list(socket, count, out);
}

static int text(const Entry *e, char *out, unsigned size) {
  if (!e) return UNSUPPORTED;
  snprintf(out, size, "%s", e->text);
  return 0;
}

int amdsmi_get_gpu_device_uuid(const Gpu *g, unsigned *size, char *out) {
  ENTER();
  return text(find(g, __func__), out, *size);
}

int amdsmi_get_gpu_compute_partition(const Gpu *g, char *out, unsigned size) {
  ENTER();
  return text(find(g, __func__), out, size);
}

int amdsmi_get_energy_count(const Gpu *g, u64 *counter, float *resolution_uj, u64 *timestamp_ns) {
  ENTER();
  *resolution_uj = 15.3F; /* as the real library says; a count is 2^-16 J = 15.2588 uJ */
  put(g, answer(g, "%s.timestamp", __func__), timestamp_ns, sizeof *timestamp_ns);
  return put(g, find(g, __func__), counter, sizeof *counter);
}

int amdsmi_get_gpu_process_list(const Gpu *g, unsigned *count, unsigned char *out) {
  ENTER();
  const Shape *shape = &shape_amdsmi_get_gpu_process_list;
  const Entry *total = find(g, __func__);
  char prefix[KEY_SIZE];
  unsigned room = *count;
  if (!total) return UNSUPPORTED;
  *count = (unsigned)total->a;
  for (unsigned i = 0; out && i < *count && i < room; i++) {
    snprintf(prefix, sizeof prefix, "%s.%u", __func__, i);
    fill(g, shape, prefix, out + i * shape->size);
  }
  return 0;
}

int amdsmi_get_violation_status(void *g, void *out) { /* the real one reads twice, 100 ms apart */
  if (!virtual_ns) rest_us(100000);
  return answer_shape(g, &shape_amdsmi_get_violation_status, out, 0, 0, 0);
}
