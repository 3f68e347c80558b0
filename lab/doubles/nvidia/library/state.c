/* The state file: INI sections [host], [gpu.0], [gpu.0.gi.7], [gpu.0.gi.7.ci.0], [gpu.0.proc.1], [event.12].
 *
 * One table of fields a kind of section drives both reading and writing. The file is written in place under flock, never
 * renamed: what containers see is a bind mount of this inode. Comments and unknown keys are lost on a write. */
#include "double.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct host host;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int fd = -1;
static struct {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
} seen;

struct field {
    const char *name;
    char type; /* i: int, l: long long, s: string */
    size_t off, len;
};
#define INT(s, f) {#f, 'i', offsetof(struct s, f), 0}
#define LNG(s, f) {#f, 'l', offsetof(struct s, f), 0}
#define STR(s, f) {#f, 's', offsetof(struct s, f), sizeof(((struct s *)0)->f)}
static const struct field host_fields[] = {
    STR(host, driver),   STR(host, fault),      STR(host, fail),   STR(host, fabric_manager),
    INT(host, switches), INT(host, cuda_fault), INT(host, events), {0}};
static const struct field gpu_fields[] = {STR(gpu, model),
                                          STR(gpu, product),
                                          STR(gpu, uuid),
                                          STR(gpu, serial),
                                          STR(gpu, pci),
                                          INT(gpu, minor),
                                          INT(gpu, numa),
                                          INT(gpu, unplugged),
                                          INT(gpu, temperature),
                                          INT(gpu, power_w),
                                          INT(gpu, util),
                                          INT(gpu, mem_util),
                                          INT(gpu, mem_used_mib),
                                          INT(gpu, mem_total_mib),
                                          INT(gpu, fan),
                                          INT(gpu, pstate),
                                          INT(gpu, gsp),
                                          INT(gpu, persistence),
                                          INT(gpu, power_limit_mw),
                                          INT(gpu, compute_mode),
                                          INT(gpu, lock_gpu_min),
                                          INT(gpu, lock_gpu_max),
                                          INT(gpu, lock_mem_min),
                                          INT(gpu, lock_mem_max),
                                          INT(gpu, ecc),
                                          INT(gpu, ecc_pending),
                                          INT(gpu, ecc_corrected),
                                          INT(gpu, ecc_uncorrected),
                                          INT(gpu, ecc_corrected_total),
                                          INT(gpu, ecc_uncorrected_total),
                                          INT(gpu, remap_corrected),
                                          INT(gpu, remap_uncorrected),
                                          INT(gpu, remap_pending),
                                          INT(gpu, remap_failed),
                                          INT(gpu, retired_sbe),
                                          INT(gpu, retired_dbe),
                                          INT(gpu, retired_pending),
                                          INT(gpu, link_gen),
                                          INT(gpu, link_width),
                                          INT(gpu, link_gen_max),
                                          INT(gpu, link_width_max),
                                          INT(gpu, pcie_replays),
                                          INT(gpu, mig),
                                          INT(gpu, mig_pending),
                                          INT(gpu, reset_required),
                                          INT(gpu, fabric_status),
                                          INT(gpu, fabric_health),
                                          STR(gpu, fabric),
                                          LNG(gpu, throttle),
                                          STR(gpu, fault),
                                          STR(gpu, fail),
                                          STR(gpu, hang),
                                          STR(gpu, held_by),
                                          STR(gpu, links_down),
                                          STR(gpu, topology),
                                          {0}};
static const struct field gi_fields[] = {INT(gi, profile), INT(gi, start), {0}};
static const struct field ci_fields[] = {INT(ci, profile), INT(ci, start), STR(ci, uuid), {0}};
static const struct field proc_fields[] = {
    INT(proc, pid), INT(proc, gi), INT(proc, ci), INT(proc, mem_mib), STR(proc, type), STR(proc, name), {0}};
static const struct field event_fields[] = {INT(event, gpu),  INT(event, gi),   INT(event, ci),
                                            LNG(event, type), LNG(event, data), {0}};

/* ---- reading ---- */
struct section {
    void *base; /* NULL: not ours */
    const struct field *fields;
};
struct path { /* "gpu.0.gi.7": kinds gpu, gi; numbers 0, 7 */
    char kind[3][8];
    int number[3], depth;
};

static int read_path(const char *name, struct path *p)
{
    int used;
    for (p->depth = 0; p->depth < 3 && *name; p->depth++, name += used) {
        if (p->depth && *name++ != '.') return 0;
        if (sscanf(name, "%7[a-z].%d%n", p->kind[p->depth], &p->number[p->depth], &used) != 2) return 0;
        if (p->number[p->depth] < 0) return 0;
    }
    return p->depth && !*name;
}

static struct section event_section(int number)
{
    struct event *e = &host.event[number % MAX_EVENT];
    *e = (struct event){.used = number, .gi = NONE, .ci = NONE};
    return (struct section){e, event_fields};
}

static struct section gpu_section(int index)
{
    struct gpu *g = &host.gpu[index];
    *g = (struct gpu){.used = 1, .minor = index, .ecc = 1, .ecc_pending = NONE, .gsp = 1, .temperature = 31, .power_w = 70};
    return (struct section){g, gpu_fields};
}

static struct section proc_section(struct gpu *g, int index)
{
    struct proc *p = &g->proc[index];
    *p = (struct proc){.used = 1, .gi = NONE, .ci = NONE, .type = "C"};
    return (struct section){p, proc_fields};
}

static struct section instance_section(struct gpu *g, const struct path *p)
{
    if (strcmp(p->kind[1], "gi") || p->number[1] >= MAX_GI) return (struct section){0};
    struct gi *i = &g->gi[p->number[1]];
    i->used = 1;
    if (p->depth == 2) return (struct section){i, gi_fields};
    if (strcmp(p->kind[2], "ci") || p->number[2] >= MAX_CI) return (struct section){0};
    i->ci[p->number[2]].used = 1;
    return (struct section){&i->ci[p->number[2]], ci_fields};
}

static struct section find_section(const char *name) /* where its values go; what it stands for is there from now on */
{
    struct path p;
    if (!strcmp(name, "host")) return (struct section){&host, host_fields};
    if (!read_path(name, &p)) return (struct section){0};
    if (!strcmp(p.kind[0], "event")) return event_section(p.number[0]);
    if (strcmp(p.kind[0], "gpu") || p.number[0] >= MAX_GPU) return (struct section){0};
    if (p.depth == 1) return gpu_section(p.number[0]);
    struct gpu *g = &host.gpu[p.number[0]];
    return !strcmp(p.kind[1], "proc") && p.number[1] < MAX_PROC ? proc_section(g, p.number[1]) : instance_section(g, &p);
}

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t') s++;
    for (char *e = s + strlen(s); e > s && strchr(" \t\r\n", e[-1]);) *--e = 0;
    return s;
}

static void set_field(struct section s, const char *key, const char *value)
{
    for (const struct field *f = s.fields; f->name; f++) {
        if (strcmp(f->name, key)) continue;
        char *at = (char *)s.base + f->off;
        if (f->type == 'i')
            *(int *)at = (int)strtol(value, NULL, 0);
        else if (f->type == 'l')
            *(long long *)at = strtoll(value, NULL, 0);
        else
            snprintf(at, f->len, "%s", value);
    }
}

static nvmlReturn_t find_models(void)
{
    for (int i = 0; i < MAX_GPU; i++)
        if (host.gpu[i].used && !(host.gpu[i].m = find_model(host.gpu[i].model))) return NVML_ERROR_UNKNOWN;
    return NVML_SUCCESS;
}

static nvmlReturn_t parse(char *text)
{
    struct section s = {0};
    char *save;
    memset(&host, 0, sizeof host);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        line = trim(line);
        char *equals = strchr(line, '=');
        if (*line == '[') {
            line[strcspn(line, "]")] = 0;
            s = find_section(line + 1);
        } else if (equals && s.base && *line != '#' && *line != ';') {
            *equals = 0;
            set_field(s, trim(line), trim(equals + 1));
        }
    }
    return find_models();
}

/* ---- writing ---- */
static void write_section(FILE *f, const void *base, const struct field *fields)
{
    for (; fields->name; fields++) {
        const char *at = (const char *)base + fields->off;
        if (fields->type == 'i')
            fprintf(f, "%s = %d\n", fields->name, *(const int *)at);
        else if (fields->type == 'l')
            fprintf(f, "%s = %lld\n", fields->name, *(const long long *)at);
        else
            fprintf(f, "%s = %s\n", fields->name, at);
    }
    fputc('\n', f);
}

static void write_instance(FILE *f, int gpu, int gi)
{
    struct gi *i = &host.gpu[gpu].gi[gi];
    fprintf(f, "[gpu.%d.gi.%d]\n", gpu, gi);
    write_section(f, i, gi_fields);
    for (int k = 0; k < MAX_CI; k++) {
        if (!i->ci[k].used) continue;
        fprintf(f, "[gpu.%d.gi.%d.ci.%d]\n", gpu, gi, k);
        write_section(f, &i->ci[k], ci_fields);
    }
}

static void write_gpu(FILE *f, int gpu)
{
    struct gpu *g = &host.gpu[gpu];
    fprintf(f, "[gpu.%d]\n", gpu);
    write_section(f, g, gpu_fields);
    for (int k = 0; k < MAX_GI; k++)
        if (g->gi[k].used) write_instance(f, gpu, k);
    for (int k = 0; k < MAX_PROC; k++) {
        if (!g->proc[k].used) continue;
        fprintf(f, "[gpu.%d.proc.%d]\n", gpu, k);
        write_section(f, &g->proc[k], proc_fields);
    }
}

nvmlReturn_t state_save(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    fputs("[host]\n", f);
    write_section(f, &host, host_fields);
    for (int k = 0; k < MAX_GPU; k++)
        if (host.gpu[k].used) write_gpu(f, k);
    for (int k = 0; k < MAX_EVENT; k++) {
        if (!host.event[k].used) continue;
        fprintf(f, "[event.%d]\n", host.event[k].used);
        write_section(f, &host.event[k], event_fields);
    }
    fclose(f);
    int ok = pwrite(fd, text, size, 0) == (ssize_t)size && ftruncate(fd, (off_t)size) == 0;
    free(text);
    seen.ino = 0; /* read again next time */
    return ok ? NVML_SUCCESS : NVML_ERROR_NO_PERMISSION;
}

/* ---- the lock ---- */
static int changed(const struct stat *st)
{
    return st->st_ino != seen.ino || st->st_dev != seen.dev || st->st_size != seen.size ||
           memcmp(&st->st_mtim, &seen.mtime, sizeof st->st_mtim);
}

static nvmlReturn_t read_state(const struct stat *st)
{
    char *text = calloc(1, (size_t)st->st_size + 1);
    nvmlReturn_t rc = pread(fd, text, (size_t)st->st_size, 0) == st->st_size ? parse(text) : NVML_ERROR_UNKNOWN;
    free(text);
    seen.dev = st->st_dev;
    seen.ino = rc == NVML_SUCCESS ? st->st_ino : 0;
    seen.size = st->st_size;
    seen.mtime = st->st_mtim;
    return rc;
}

nvmlReturn_t state_open(int write)
{
    const char *path = getenv("NVML_DOUBLE_STATE");
    struct stat st;
    nvmlReturn_t rc = NVML_SUCCESS;
    pthread_mutex_lock(&mutex);
    fd = open(path ? path : STATE_FILE, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) {
        rc = errno == EACCES || errno == EROFS ? NVML_ERROR_NO_PERMISSION : NVML_ERROR_DRIVER_NOT_LOADED;
        pthread_mutex_unlock(&mutex);
        return rc;
    }
    flock(fd, write ? LOCK_EX : LOCK_SH);
    if (fstat(fd, &st))
        rc = NVML_ERROR_UNKNOWN;
    else if (changed(&st))
        rc = read_state(&st);
    if (rc != NVML_SUCCESS) state_close();
    return rc;
}

void state_close(void)
{
    close(fd); /* drops the lock */
    fd = -1;
    pthread_mutex_unlock(&mutex);
}
