/* What both simulated libraries share: the script, the clock, the true power, and the sensors that read it.
 *
 * The script is $GPUSIM_SCENARIO/VENDOR.txt, written by simulators/__init__.py. One line is "GPU KEY VALUE", GPU being
 * an index or "system". A KEY that names a library function holds what that function returns; a function without a line is
 * "not supported" on that GPU. A VALUE is a number, a text, or a reading that changes with time t (s since the origin):
 *   @line A B    A + B t                   @instant S   power over the short sensor window, in W, times S
 *   @max         all ones of the C field   @average S   power over the long sensor window, in W, times S
 *                                          @energy S    the energy counter, in J, times S
 * With "truth.follows FILE" (beside the script), the true power goes on as the lines of FILE say: CLOCK_MONOTONIC in ns, W.
 * Whoever computes in the GPU's place adds them while the library reads; each call takes up what is new.
 * Times are kept as integer ns, so that a sensor ticks exactly where the Python copy of these formulas says it does. */
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long long u64;
enum { MAX_GPUS = 64, MAX_STEPS = 1024, MAX_FUNCTIONS = 512, KEY_SIZE = 128 };
enum kind { NUMBER, LINE, INSTANT, AVERAGE, ENERGY, ALL_ONES };

typedef struct {
  char *key, *text;
  enum kind kind;
  double a, b;
  u64 calls;          /* of a function that fails every Nth time */
  const void *place;  /* amd_sim.c: the field of the struct that this value belongs to */
} Entry;

typedef struct {
  Entry *entries;
  int count, steps;
  double step_s[MAX_STEPS], step_w[MAX_STEPS], period_s, phase_s; /* the true power: see truth_j */
  long long origin_ns, update_ns, window_ns, average_ns, tick_ns, reset_ns, lost_ns;
  double offset_j;
  int counter_bits, counter_stuck, lost_code, faulty;
  FILE *followed;
  u64 latency_us, lost_after_calls, calls;
} Gpu;

/* Given by each library before this file is included: VENDOR, and its own numbers for these errors. */
static const int uninitialised = UNINITIALISED, invalid = INVALID, unsupported = UNSUPPORTED;

int gpuprof_simulated_library = 1; /* who reads this symbol knows that what the library says was never measured */
static Gpu gpus[MAX_GPUS], everywhere; /* everywhere: answers about the system */
static int gpu_count, users;           /* users: inits less shutdowns */
static u64 virtual_ns;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { const char *name; u64 calls; } tally[MAX_FUNCTIONS];

void gpusim_set_time_ns(u64 ns) { virtual_ns = ns; } /* 0: back to the real clock */

static long long now_ns(void) {
  struct timespec t;
  if (virtual_ns) return (long long)virtual_ns;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void rest_us(u64 us) {
  struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
  if (us) nanosleep(&t, NULL);
}

u64 gpusim_calls(const char *function) {
  for (int i = 0; i < MAX_FUNCTIONS && tally[i].name; i++)
    if (!strcmp(tally[i].name, function)) return tally[i].calls;
  return 0;
}

static void count_call(const char *function) {
  pthread_mutex_lock(&lock);
  int i = 0;
  while (i < MAX_FUNCTIONS - 1 && tally[i].name && strcmp(tally[i].name, function)) i++;
  tally[i].name = function;
  tally[i].calls++;
  pthread_mutex_unlock(&lock);
}

/* ---- the script */

static Entry *find(const Gpu *g, const char *key) {
  for (int i = 0; i < g->count; i++)
    if (!strcmp(g->entries[i].key, key)) return &g->entries[i];
  return NULL;
}

static double setting(const Gpu *g, const char *key, double otherwise) {
  const Entry *e = find(g, key);
  return e ? e->a : otherwise;
}

static void add_entry(Gpu *g, const char *key, const char *text) {
  static const char *const names[] = {[LINE] = "@line", [INSTANT] = "@instant", [AVERAGE] = "@average",
                                      [ENERGY] = "@energy", [ALL_ONES] = "@max"};
  Entry e = {strdup(key), strdup(text), NUMBER, strtod(text, NULL), 0, 0, NULL};
  for (int kind = LINE; kind <= ALL_ONES; kind++) {
    size_t n = strlen(names[kind]);
    if (strncmp(text, names[kind], n)) continue;
    e.kind = (enum kind)kind;
    sscanf(text + n, "%lf %lf", &e.a, &e.b);
  }
  g->entries = realloc(g->entries, sizeof e * (size_t)(g->count + 1));
  g->entries[g->count++] = e;
}

static void settle(Gpu *g, const char *folder) { /* copy what every call needs out of the entries */
  char path[4096];
  const Entry *e = find(g, "truth.steps");
  const char *s = e ? e->text : "";
  for (int used; g->steps < MAX_STEPS &&
       sscanf(s, "%lf:%lf%n", &g->step_s[g->steps], &g->step_w[g->steps], &used) == 2; s += used) g->steps++;
  g->period_s = setting(g, "truth.period_s", 0), g->phase_s = setting(g, "truth.phase_s", 0);
  if ((e = find(g, "truth.follows"))) {
    snprintf(path, sizeof path, "%s/%s", folder, e->text);
    g->followed = fopen(path, "r");
  }
  e = find(g, "origin_ns");
  g->origin_ns = e ? atoll(e->text) : 0;
  g->update_ns = (long long)setting(g, "sensor.update_ns", 1);
  g->window_ns = (long long)setting(g, "sensor.window_ns", 1);
  g->average_ns = (long long)setting(g, "sensor.average_window_ns", 1);
  g->tick_ns = (long long)setting(g, "counter.tick_ns", 1);
  g->reset_ns = (long long)setting(g, "counter.reset_ns", -1);
  g->offset_j = setting(g, "counter.offset_j", 0);
  g->counter_bits = (int)setting(g, "counter.bits", 64);
  g->counter_stuck = (int)setting(g, "counter.stuck", 0);
  g->latency_us = (u64)setting(g, "latency_us", 0);
  g->lost_ns = (long long)setting(g, "lost.at_ns", -1);
  g->lost_after_calls = (u64)setting(g, "lost.after_calls", 0);
  g->lost_code = (int)setting(g, "lost.code", 0);
  for (int i = 0; i < g->count; i++)
    g->faulty |= !strncmp(g->entries[i].key, "error.", 6) || !strncmp(g->entries[i].key, "transient.", 10);
}

static void follow(Gpu *g) { /* take up the steps that were added since the last call */
  long long ns;
  double w;
  pthread_mutex_lock(&lock);
  clearerr(g->followed);
  while (g->steps < MAX_STEPS && fscanf(g->followed, "%lld %lf", &ns, &w) == 2) {
    g->step_s[g->steps] = (double)(ns - g->origin_ns) / 1e9;
    g->step_w[g->steps++] = w;
  }
  pthread_mutex_unlock(&lock);
}

static int load_script(void) { /* 0, or -1 without a script */
  char path[4096], line[8192], who[16], key[KEY_SIZE];
  const char *folder = getenv("GPUSIM_SCENARIO") ? getenv("GPUSIM_SCENARIO") : ".";
  if (gpu_count || everywhere.count) return 0;
  snprintf(path, sizeof path, "%s/" VENDOR ".txt", folder);
  FILE *file = fopen(path, "r");
  if (!file) return -1;
  while (fgets(line, sizeof line, file)) {
    int used = 0;
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "%15s %127s%n", who, key, &used) < 2) continue;
    int index = strcmp(who, "system") ? atoi(who) : -1;
    if (index >= MAX_GPUS) continue;
    if (index >= gpu_count) gpu_count = index + 1;
    add_entry(index < 0 ? &everywhere : &gpus[index], key, line + used + (line[used] == ' '));
  }
  fclose(file);
  for (int i = 0; i < gpu_count; i++) settle(&gpus[i], folder);
  return 0;
}

static int start(const char *function) { /* the body of both inits */
  count_call(function);
  pthread_mutex_lock(&lock);
  int code = load_script() ? (int)DRIVER_NOT_LOADED : (int)setting(&everywhere, "init_error", 0);
  users += !code;
  pthread_mutex_unlock(&lock);
  if (setting(&everywhere, "noise", 0)) {
    static const char words[] = "Failed to open drm root directory /sys/class/drm\n";
    if (write(STDERR_FILENO, words, sizeof words - 1) < 0) return code;
    fprintf(stdout, "simulated " VENDOR " library: a line on stdout\n");
    fflush(stdout);
  }
  return code;
}

static int stop(const char *function) {
  count_call(function);
  if (!users) return uninitialised;
  users--;
  return 0;
}

/* ---- the truth and its sensors; t is ns since the origin */

static double cycle_j(const Gpu *g, double s) { /* power w[k] from s[k] on, and w[0] before */
  double j = g->step_w[0] * s;
  for (int k = 1; k < g->steps; k++)
    if (s > g->step_s[k]) j += (g->step_w[k] - g->step_w[k - 1]) * (s - g->step_s[k]);
  return j;
}

static double truth_j(const Gpu *g, long long t) {
  double s = (double)t / 1e9 - g->phase_s, cycles = g->period_s > 0 ? floor(s / g->period_s) : 0;
  return cycles * cycle_j(g, g->period_s) + cycle_j(g, s - cycles * g->period_s);
}

static long long last_tick(long long t, long long every) { return t - ((t % every) + every) % every; }

static double mean_w(const Gpu *g, long long t, long long window) {
  t = last_tick(t, g->update_ns);
  return (truth_j(g, t) - truth_j(g, t - window)) / ((double)window / 1e9);
}

static double counter_j(const Gpu *g, long long t) {
  int reset = g->reset_ns >= 0 && t >= g->reset_ns;
  if (g->counter_stuck) return g->offset_j;
  double j = truth_j(g, last_tick(t, g->tick_ns)) - truth_j(g, reset ? g->reset_ns : 0) + (reset ? 0 : g->offset_j);
  return j > 0 ? j : 0;
}

static u64 value(const Gpu *g, const Entry *e) { /* fractions below 1e-6 are rounding, not readings */
  long long t = now_ns() - g->origin_ns;
  u64 mask = g->counter_bits >= 64 ? ~0ULL : (1ULL << g->counter_bits) - 1;
  switch (e->kind) {
    case LINE: return (u64)(long long)floor(e->a + e->b * ((double)t / 1e9) + 1e-6);
    case INSTANT: return (u64)floor(mean_w(g, t, g->window_ns) * e->a + 0.5);
    case AVERAGE: return (u64)floor(mean_w(g, t, g->average_ns) * e->a + 0.5);
    case ENERGY: return (u64)floor(counter_j(g, t) * e->a + 1e-6) & mask;
    case ALL_ONES: return ~0ULL;
    default: return *e->text == '-' ? (u64)strtoll(e->text, NULL, 0) : strtoull(e->text, NULL, 0);
  }
}

/* ---- one call */

static int fault(const Gpu *g, const char *key) { /* the scripted error of a function or field, 0 for none */
  char name[KEY_SIZE + 16];
  if (!g->faulty) return 0;
  snprintf(name, sizeof name, "error.%s", key);
  Entry *e = find(g, name);
  if (e && now_ns() - g->origin_ns >= (long long)setting(g, strcat(name, ".from_ns"), LLONG_MIN)) return (int)e->a;
  snprintf(name, sizeof name, "transient.%s", key);
  if (!(e = find(g, name))) return 0;
  return ++e->calls % (u64)e->a ? 0 : TRANSIENT;
}

static int enter(const void *handle, const char *function) { /* what every call about a GPU does first */
  Gpu *g = (Gpu *)handle;
  count_call(function);
  if (!users) return uninitialised;
  if (g < gpus || g >= gpus + gpu_count) return invalid;
  rest_us(g->latency_us);
  if (g->followed) follow(g);
  if (g->lost_after_calls && ++g->calls > g->lost_after_calls) return g->lost_code;
  if (g->lost_ns >= 0 && now_ns() - g->origin_ns >= g->lost_ns) return g->lost_code;
  return fault(g, function);
}

static Entry *answer(const Gpu *g, const char *format, ...) { /* the answer under a key made as printf does */
  char key[KEY_SIZE];
  va_list rest;
  va_start(rest, format);
  vsnprintf(key, sizeof key, format, rest);
  va_end(rest);
  return find(g, key);
}

static int put(const Gpu *g, const Entry *e, void *out, size_t size) { /* a number, in as many bytes as it takes */
  if (!e) return unsupported;
  if (!out) return invalid;
  u64 number = value(g, e);
  memcpy(out, &number, size); /* little-endian, as every host of these GPUs is */
  return 0;
}
