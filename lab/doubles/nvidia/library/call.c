/* What lies between a consumer's call and its answer (tracing, faults, lock, handles), the library, and finding devices. */
#include "double.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int inits; /* nvmlInit nests */
static struct nvmlDevice_st gpus[MAX_GPU], migs[MAX_MIG_HANDLE];

/* ---- tracing and faults ---- */
static nvmlReturn_t note(const char *fn, nvmlReturn_t rc, const char *what)
{
    const char *path = getenv("NVML_DOUBLE_TRACE");
    FILE *f = path ? fopen(path, "a") : NULL;
    if (f) {
        fprintf(f, "%s %d%s\n", fn, rc, what);
        fclose(f);
    }
    return rc;
}
nvmlReturn_t trace(const char *fn, nvmlReturn_t rc) { return note(fn, rc, ""); }
nvmlReturn_t stub(const char *fn) { return note(fn, NVML_ERROR_NOT_SUPPORTED, " stub"); }

nvmlReturn_t fault_code(const char *fault)
{
    static const struct {
        const char *name;
        nvmlReturn_t rc;
    } faults[] = {{"", NVML_SUCCESS},
                  {"lost", NVML_ERROR_GPU_IS_LOST},
                  {"unknown", NVML_ERROR_UNKNOWN},
                  {"reset_required", NVML_ERROR_RESET_REQUIRED},
                  {"mismatch", NVML_ERROR_LIB_RM_VERSION_MISMATCH},
                  {"no_permission", NVML_ERROR_NO_PERMISSION},
                  {"timeout", NVML_ERROR_TIMEOUT},
                  {"irq", NVML_ERROR_IRQ_ISSUE},
                  {"power", NVML_ERROR_INSUFFICIENT_POWER},
                  {"inforom", NVML_ERROR_CORRUPTED_INFOROM}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (!strcmp(faults[i].name, fault)) return faults[i].rc;
    return (nvmlReturn_t)atoi(fault);
}

int listed(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += n)
        if ((at == list || at[-1] == ',') && (!at[n] || at[n] == ',' || at[n] == ':')) return 1;
    return 0;
}

/* "function:code,function:code:after": what fails so; `after` so many calls that go well, of functions that change something
 */
static nvmlReturn_t fail_code(char *list, const char *fn, int write)
{
    size_t n = strlen(fn);
    for (char *at = list; (at = strstr(at, fn)); at += n) {
        if (at[n] != ':' || (at != list && at[-1] != ',')) continue;
        char *end, *count;
        long code = strtol(at + n + 1, &count, 10), after = *count == ':' ? strtol(count + 1, &end, 10) : 0;
        if (after <= 0 || !write) return (nvmlReturn_t)code;
        char rest[256];
        snprintf(rest, sizeof rest, "%s", end);
        snprintf(count, (size_t)(256 - (count - list)), ":%ld%s", after - 1, rest);
        state_save();
        return NVML_SUCCESS;
    }
    return NVML_SUCCESS;
}

static void hang(void) /* as a call into a driver that waits for a dead GPU, only that a signal ends it */
{
    state_close(); /* others go on */
    for (;;) pause();
}

/* ---- the frame of a call ---- */
static nvmlReturn_t device_code(struct call *c, const char *fn, nvmlDevice_t dev, int flags)
{
    int whole = dev >= gpus && dev < gpus + MAX_GPU, mig = dev >= migs && dev < migs + MAX_MIG_HANDLE;
    if ((!whole && !mig) || !host.gpu[dev->gpu].used || host.gpu[dev->gpu].unplugged) return NVML_ERROR_INVALID_ARGUMENT;
    c->gpu = &host.gpu[dev->gpu];
    if ((!(flags & IDENT) && !strcmp(c->gpu->fault, "hang")) || listed(c->gpu->hang, fn)) hang();
    nvmlReturn_t rc = flags & IDENT ? NVML_SUCCESS : fault_code(c->gpu->fault);
    if (rc == NVML_SUCCESS) rc = fail_code(c->gpu->fail, fn, flags & WRITE);
    if (rc != NVML_SUCCESS || !mig) return rc;
    c->gi = &c->gpu->gi[dev->gi];
    c->ci = &c->gi->ci[dev->ci];
    if (!c->gi->used || !c->ci->used || strcmp(c->ci->uuid, dev->uuid)) return NVML_ERROR_INVALID_ARGUMENT; /* gone since */
    return flags & MIG_OK ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

struct call call_begin(const char *fn, nvmlDevice_t dev, int flags)
{
    struct call c = {.rc = inits ? state_open(flags & WRITE) : NVML_ERROR_UNINITIALIZED};
    c.locked = c.rc == NVML_SUCCESS;
    if (c.locked && flags & ADMIN && geteuid()) c.rc = NVML_ERROR_NO_PERMISSION;
    if (c.rc == NVML_SUCCESS) c.rc = fail_code(host.fail, fn, flags & WRITE);
    if (c.rc == NVML_SUCCESS && dev) c.rc = device_code(&c, fn, dev, flags);
    trace(fn, c.rc);
    return c;
}
void call_end(struct call *c)
{
    if (c->locked) state_close();
}

nvmlReturn_t put_string(char *to, unsigned size, const char *from)
{
    if (!to) return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(from) + 1 > size) return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(to, from);
    return NVML_SUCCESS;
}

/* ---- library and system ---- */
static const char *device_directory(void) /* empty: no device nodes are asked */
{
    const char *dev = getenv("NVML_DOUBLE_DEV");
    return dev ? dev : "/dev";
}

/* The driver is reached through /dev/nvidiactl. The double's node has no driver behind it, so ENXIO is the good answer; no
 * node: no driver; a node that the device cgroup denies is the known "Failed to initialize NVML: Unknown Error". */
static nvmlReturn_t control_node(void)
{
    char path[256];
    if (!*device_directory()) return NVML_SUCCESS;
    snprintf(path, sizeof path, "%s/nvidiactl", device_directory());
    int f = open(path, O_RDWR | O_CLOEXEC);
    if (f >= 0) close(f);
    if (f >= 0 || errno == ENXIO || errno == ENODEV) return NVML_SUCCESS;
    return errno == EPERM ? NVML_ERROR_UNKNOWN : errno == EACCES ? NVML_ERROR_NO_PERMISSION : NVML_ERROR_DRIVER_NOT_LOADED;
}

static nvmlReturn_t driver_code(void) /* the module that is loaded, and this library: are they of one version? */
{
    if (!*host.driver) return NVML_ERROR_DRIVER_NOT_LOADED;
    if (strcmp(host.driver, DRIVER_VERSION)) return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    return fault_code(host.fault) ?: fail_code(host.fail, "nvmlInit", 0);
}

API nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    nvmlReturn_t rc = state_open(READ);
    if (rc == NVML_SUCCESS) {
        rc = driver_code();
        state_close();
    }
    if (rc == NVML_SUCCESS) rc = control_node();
    if (rc == NVML_SUCCESS && !inits++)
        for (int i = 0; i < MAX_GPU; i++) gpus[i] = (struct nvmlDevice_st){i, NONE, NONE, ""};
    return trace(__func__, rc);
}
API nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
API nvmlInit(void) { return nvmlInitWithFlags(0); }
API nvmlShutdown(void)
{
    NEED(inits > 0, NVML_ERROR_UNINITIALIZED);
    inits--;
    return trace(__func__, NVML_SUCCESS);
}

__attribute__((visibility("default"))) const char *nvmlErrorString(nvmlReturn_t rc)
{
    static const char *text[] = {"Success",
                                 "Uninitialized",
                                 "Invalid Argument",
                                 "Not Supported",
                                 "Insufficient Permissions",
                                 "Already Initialized",
                                 "Not Found",
                                 "Insufficient Size",
                                 "Insufficient External Power",
                                 "Driver Not Loaded",
                                 "Timeout",
                                 "Interrupt Request Issue",
                                 "NVML Shared Library Not Found",
                                 "Function Not Found",
                                 "Corrupted infoROM",
                                 "GPU is lost",
                                 "GPU requires reset",
                                 "The operating system has blocked the request.",
                                 "Driver/library version mismatch",
                                 "In use by another client",
                                 "Insufficient Memory",
                                 "No data",
                                 "The requested vgpu operation is not available on target device, becasue ECC is enabled",
                                 "Insufficient Resources",
                                 "Frequency not supported",
                                 "Argument version mismatch",
                                 "Deprecated",
                                 "System is not ready",
                                 "No GPUs were found",
                                 "Invalid state"};
    return (unsigned)rc < sizeof text / sizeof *text ? text[rc] : "Unknown Error";
}

API nvmlSystemGetDriverVersion(char *s, unsigned n)
{
    HOST(READ);
    return put_string(s, n, host.driver);
}
API nvmlSystemGetNVMLVersion(char *s, unsigned n) { return trace(__func__, put_string(s, n, "13." DRIVER_VERSION)); }
API nvmlSystemGetCudaDriverVersion_v2(int *v)
{
    ARG(v);
    HOST(READ);
    *v = CUDA_VERSION;
    return NVML_SUCCESS;
}
OLDNAME(nvmlSystemGetCudaDriverVersion, nvmlSystemGetCudaDriverVersion_v2);
API nvmlSystemGetProcessName(unsigned pid, char *s, unsigned n)
{
    HOST(READ);
    for (int i = 0; i < MAX_GPU; i++)
        for (int j = 0; j < MAX_PROC; j++) {
            struct proc *p = &host.gpu[i].proc[j];
            if (p->used && p->pid == (int)pid) return put_string(s, n, p->name);
        }
    return NVML_ERROR_NOT_FOUND;
}

/* ---- which devices there are: as in a container of the real driver, those whose device nodes are there ---- */
int visible(int gpu, int gi, int ci)
{
    char path[256];
    if (!host.gpu[gpu].used || host.gpu[gpu].unplugged) return 0;
    if (!*device_directory()) return 1;
    int minor = host.gpu[gpu].minor;
    if (gi == NONE)
        snprintf(path, sizeof path, "%s/nvidia%d", device_directory(), minor);
    else
        snprintf(path, sizeof path, "%s/nvidia-caps/nvidia-cap%d", device_directory(), capability_minor(minor, gi, ci));
    return access(path, F_OK) == 0;
}
nvmlDevice_t gpu_handle(int gpu) { return &gpus[gpu]; }
nvmlDevice_t mig_handle(int gpu, int gi, int ci) /* one handle a MIG UUID, for the life of the process */
{
    const char *uuid = host.gpu[gpu].gi[gi].ci[ci].uuid;
    for (int i = 0; i < MAX_MIG_HANDLE; i++) {
        if (*migs[i].uuid && strcmp(migs[i].uuid, uuid)) continue;
        migs[i] = (struct nvmlDevice_st){gpu, gi, ci, ""};
        snprintf(migs[i].uuid, sizeof migs[i].uuid, "%s", uuid);
        return &migs[i];
    }
    return NULL;
}
static nvmlReturn_t handle(int gpu, nvmlDevice_t *d) /* a lost GPU gives no handle; a hanging one does */
{
    *d = &gpus[gpu];
    return fault_code(host.gpu[gpu].fault);
}

API nvmlDeviceGetCount_v2(unsigned *n)
{
    ARG(n);
    HOST(READ);
    *n = 0;
    for (int i = 0; i < MAX_GPU; i++) *n += (unsigned)visible(i, NONE, NONE);
    return NVML_SUCCESS;
}
OLDNAME(nvmlDeviceGetCount, nvmlDeviceGetCount_v2);
API nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *d)
{
    ARG(d);
    HOST(READ);
    for (int k = 0; k < MAX_GPU; k++)
        if (visible(k, NONE, NONE) && !index--) return trace(__func__, handle(k, d));
    return trace(__func__, NVML_ERROR_INVALID_ARGUMENT);
}
OLDNAME(nvmlDeviceGetHandleByIndex, nvmlDeviceGetHandleByIndex_v2);

static nvmlDevice_t mig_by_uuid(int gpu, const char *uuid)
{
    for (int k = 0; k < MAX_GI * MAX_CI; k++) {
        struct gi *i = &host.gpu[gpu].gi[k / MAX_CI];
        struct ci *j = &i->ci[k % MAX_CI];
        if (i->used && j->used && !strcmp(j->uuid, uuid) && visible(gpu, k / MAX_CI, k % MAX_CI))
            return mig_handle(gpu, k / MAX_CI, k % MAX_CI);
    }
    return NULL;
}
API nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *d)
{
    ARG(d);
    ARG(uuid);
    HOST(READ);
    for (int i = 0; i < MAX_GPU; i++) {
        if (!visible(i, NONE, NONE)) continue;
        if (!strcmp(host.gpu[i].uuid, uuid)) return trace(__func__, handle(i, d));
        if ((*d = mig_by_uuid(i, uuid))) return NVML_SUCCESS;
    }
    return trace(__func__, NVML_ERROR_NOT_FOUND);
}
API nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *d)
{
    ARG(d);
    ARG(serial);
    HOST(READ);
    for (int i = 0; i < MAX_GPU; i++)
        if (visible(i, NONE, NONE) && !strcmp(host.gpu[i].serial, serial)) return handle(i, d);
    return trace(__func__, NVML_ERROR_NOT_FOUND);
}
static int same_bus_id(const char *a, const char *b) /* 0000:1b:00.0 is 00000000:1B:00.0 */
{
    unsigned x[4] = {0}, y[4] = {0};
    return sscanf(a, "%x:%x:%x.%x", x, x + 1, x + 2, x + 3) == 4 && sscanf(b, "%x:%x:%x.%x", y, y + 1, y + 2, y + 3) == 4 &&
           !memcmp(x, y, sizeof x);
}
API nvmlDeviceGetHandleByPciBusId_v2(const char *pci, nvmlDevice_t *d)
{
    ARG(d);
    ARG(pci);
    HOST(READ);
    for (int i = 0; i < MAX_GPU; i++)
        if (visible(i, NONE, NONE) && same_bus_id(pci, host.gpu[i].pci)) return handle(i, d);
    return trace(__func__, NVML_ERROR_NOT_FOUND);
}
OLDNAME(nvmlDeviceGetHandleByPciBusId, nvmlDeviceGetHandleByPciBusId_v2);

/* ---- for libcuda's double: the number of GPUs, or what cuInit fails with, negative ---- */
enum { CUDA_NO_DEVICE = 100, CUDA_UNKNOWN = 999, CUDA_NOT_READY = 802, CUDA_MISMATCH = 803 };
static int usable_gpus(void)
{
    int usable = 0;
    for (int k = 0; k < MAX_GPU; k++) {
        if (!visible(k, NONE, NONE)) continue;
        if (!strcmp(host.gpu[k].fault, "hang")) hang();
        usable += fault_code(host.gpu[k].fault) == NVML_SUCCESS;
    }
    return usable ? usable : -CUDA_NO_DEVICE;
}
static int cuda_state(void)
{
    if (state_open(READ) != NVML_SUCCESS) return -CUDA_UNKNOWN;
    int state = host.cuda_fault                          ? -host.cuda_fault
                : host.switches && !*host.fabric_manager ? -CUDA_NOT_READY
                                                         : usable_gpus();
    state_close();
    return state;
}
__attribute__((visibility("default"))) int doubleCudaState(void)
{
    nvmlReturn_t rc = nvmlInit_v2();
    if (rc == NVML_ERROR_LIB_RM_VERSION_MISMATCH) return -CUDA_MISMATCH;
    if (rc == NVML_ERROR_DRIVER_NOT_LOADED) return -CUDA_NO_DEVICE;
    if (rc != NVML_SUCCESS) return -CUDA_UNKNOWN;
    int state = cuda_state();
    nvmlShutdown();
    return state;
}
