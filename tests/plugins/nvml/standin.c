/* A stand-in for libnvidia-ml.so.1: answers from a text file, so that a test scripts the hardware and its faults.
 *
 * The file ($AISH_TEST_NVML) is read again at every call, one fact a line:
 *     init CODE                         what nvmlInitWithFlags returns
 *     count N
 *     device I uuid TEXT | name TEXT | total B | reserved B | used B | util % | power mW | limit mW | temp C
 *     fault I CALL CODE                 CALL (memory2 memory1 util power limit temp compute graphics mps shares handle
 *                                       uuid name compute3, or * for all) returns CODE on device I
 *     slow I CALL MS                    CALL takes MS longer
 *     process I LIST PID BYTES|NA       LIST: compute graphics mps
 *     share I PID SM AGE_MS             a utilisation sample, AGE_MS old (negative: from the future)
 * Layouts as pynvml 13 declares them (memory v2 40 bytes, process v2/v3 24, utilisation sample 32).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, NOT_THERE = 13 };

typedef unsigned long long u64;
typedef struct { u64 total, free, used; } memory1_t;
typedef struct { unsigned version; u64 total, reserved, free, used; } memory2_t;
typedef struct { unsigned gpu, memory; } rates_t;
typedef struct { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { unsigned pid; u64 stamp; unsigned sm, mem, enc, dec; } share_t;

_Static_assert(sizeof(memory2_t) == 40, "memory v2");
_Static_assert(sizeof(process_t) == 24, "process v2/v3");
_Static_assert(sizeof(share_t) == 32, "utilisation sample");

static int index_of(void *handle) { return (int)(long)handle - 1; }

/* Call `each` with every line of the state file. */
static void lines(void (*each)(const char *line, void *data), void *data) {
    const char *path = getenv("AISH_TEST_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        each(line, data);
    }
    fclose(file);
}

struct fault { int device; const char *call; int code; long slow_ms; };

static void match_fault(const char *line, void *data) {
    struct fault *wanted = data;
    int device, value;
    char call[64];
    if (sscanf(line, "fault %d %63s %d", &device, call, &value) == 3) {
        if (device == wanted->device && (!strcmp(call, wanted->call) || !strcmp(call, "*"))) wanted->code = value;
    } else if (sscanf(line, "slow %d %63s %d", &device, call, &value) == 3) {
        if (device == wanted->device && !strcmp(call, wanted->call)) wanted->slow_ms = value;
    }
}

static int fault(void *handle, const char *call) {
    struct fault wanted = { index_of(handle), call, OK, 0 };
    lines(match_fault, &wanted);
    if (wanted.slow_ms) {
        struct timespec pause = { wanted.slow_ms / 1000, wanted.slow_ms % 1000 * 1000000 };
        nanosleep(&pause, NULL);
    }
    return wanted.code;
}

struct field { int device; const char *key; char *value; size_t size; int found; };

static void match_field(const char *line, void *data) {
    struct field *wanted = data;
    int device, at = 0;
    char key[32];
    if (sscanf(line, "device %d %31s %n", &device, key, &at) == 2 && at && device == wanted->device &&
        !strcmp(key, wanted->key)) {
        snprintf(wanted->value, wanted->size, "%s", line + at);
        wanted->found = 1;
    }
}

static int text(void *handle, const char *key, char *value, size_t size) {
    struct field wanted = { index_of(handle), key, value, size, 0 };
    lines(match_field, &wanted);
    return wanted.found;
}

static int number(void *handle, const char *call, const char *key, u64 *value) {
    char buffer[64];
    int code = fault(handle, call);
    if (code) return code;
    if (!text(handle, key, buffer, sizeof buffer)) return NOT_SUPPORTED;
    *value = strtoull(buffer, NULL, 0);
    return OK;
}

struct single { const char *key; int value; };

static void match_single(const char *line, void *data) {
    struct single *wanted = data;
    char key[32];
    int value;
    if (sscanf(line, "%31s %d", key, &value) == 2 && !strcmp(key, wanted->key)) wanted->value = value;
}

static int single(const char *key, int fallback) {
    struct single wanted = { key, fallback };
    lines(match_single, &wanted);
    return wanted.value;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return single("init", OK); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "scripted error"; }

int nvmlDeviceGetCount_v2(unsigned *count) { *count = (unsigned)single("count", 0); return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)(long)(index + 1);
    return fault(*handle, "handle");
}

int nvmlDeviceGetUUID(void *handle, char *value, unsigned size) {
    int code = fault(handle, "uuid");
    return code ? code : text(handle, "uuid", value, size) ? OK : NOT_SUPPORTED;
}

int nvmlDeviceGetName(void *handle, char *value, unsigned size) {
    int code = fault(handle, "name");
    return code ? code : text(handle, "name", value, size) ? OK : NOT_SUPPORTED;
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, memory2_t *memory) {
    int code;
    if (memory->version != 0x02000028) return INVALID;
    if ((code = number(handle, "memory2", "total", &memory->total))) return code;
    if ((code = number(handle, "memory2", "used", &memory->used))) return code;
    if (number(handle, "memory2", "reserved", &memory->reserved)) memory->reserved = 0;
    memory->free = memory->total - memory->used - memory->reserved;
    return OK;
}

int nvmlDeviceGetMemoryInfo(void *handle, memory1_t *memory) {
    u64 reserved;
    int code;
    if ((code = number(handle, "memory1", "total", &memory->total))) return code;
    if ((code = number(handle, "memory1", "used", &memory->used))) return code;
    if (!number(handle, "memory1", "reserved", &reserved)) memory->used += reserved;
    memory->free = memory->total - memory->used;
    return OK;
}

int nvmlDeviceGetUtilizationRates(void *handle, rates_t *rates) {
    u64 value;
    int code = number(handle, "util", "util", &value);
    if (!code) rates->gpu = (unsigned)value, rates->memory = 0;
    return code;
}

static int small(void *handle, const char *key, unsigned *value) {
    u64 wide;
    int code = number(handle, key, key, &wide);
    if (!code) *value = (unsigned)wide;
    return code;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *value) { return small(handle, "power", value); }
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *value) { return small(handle, "limit", value); }
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *value) {
    return sensor ? INVALID : small(handle, "temp", value);
}

struct list { int device; const char *name; process_t *room; unsigned capacity, count; };

static void match_process(const char *line, void *data) {
    struct list *wanted = data;
    int device;
    unsigned pid;
    char name[32], used[32];
    if (sscanf(line, "process %d %31s %u %31s", &device, name, &pid, used) != 4) return;
    if (device != wanted->device || strcmp(name, wanted->name)) return;
    if (wanted->room && wanted->count < wanted->capacity) {
        process_t *entry = &wanted->room[wanted->count];
        entry->pid = pid;
        entry->used = strcmp(used, "NA") ? strtoull(used, NULL, 0) : ~0ULL;
        entry->gpu_instance = entry->compute_instance = ~0U;
    }
    wanted->count++;
}

static int processes(void *handle, const char *name, unsigned *count, process_t *room) {
    struct list wanted = { index_of(handle), name, room, *count, 0 };
    int code = fault(handle, name);
    if (code) return code;
    lines(match_process, &wanted);
    unsigned capacity = room ? *count : 0;
    *count = wanted.count;
    return wanted.count > capacity ? TOO_SMALL : OK;
}

/* `fault I compute3 13` makes the newest list a missing function, as on old drivers. */
#define LIST(symbol, name) \
    int nvmlDeviceGet##symbol##RunningProcesses_v3(void *handle, unsigned *count, process_t *room) { \
        int code = fault(handle, name "3"); \
        return code ? code : processes(handle, name, count, room); \
    } \
    int nvmlDeviceGet##symbol##RunningProcesses_v2(void *handle, unsigned *count, process_t *room) { \
        return processes(handle, name, count, room); \
    }
LIST(Compute, "compute")
LIST(Graphics, "graphics")
LIST(MPSCompute, "mps")

struct shares { int device; share_t *room; unsigned capacity, count; u64 now; };

static void match_share(const char *line, void *data) {
    struct shares *wanted = data;
    int device;
    unsigned pid, sm;
    long age_ms;
    if (sscanf(line, "share %d %u %u %ld", &device, &pid, &sm, &age_ms) != 4 || device != wanted->device) return;
    if (wanted->room && wanted->count < wanted->capacity) {
        share_t *entry = &wanted->room[wanted->count];
        memset(entry, 0, sizeof *entry);
        entry->pid = pid, entry->sm = sm, entry->stamp = wanted->now - (u64)(age_ms * 1000);
    }
    wanted->count++;
}

/* The real library answers NOT_FOUND when nothing ran in the window; it does not honour `since` to the letter. */
int nvmlDeviceGetProcessUtilization(void *handle, share_t *room, unsigned *count, u64 since) {
    struct timeval now;
    gettimeofday(&now, NULL);
    struct shares wanted = { index_of(handle), room, *count, 0, (u64)now.tv_sec * 1000000 + (u64)now.tv_usec };
    int code = fault(handle, "shares");
    (void)since;
    if (code) return code;
    lines(match_share, &wanted);
    unsigned capacity = room ? *count : 0;
    *count = wanted.count;
    if (!wanted.count) return NOT_FOUND;
    return wanted.count > capacity ? TOO_SMALL : OK;
}
