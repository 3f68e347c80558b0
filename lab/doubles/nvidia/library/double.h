/* A stand-in for NVIDIA's libnvidia-ml.so.1. One state file describes one host's GPUs; the lab's hardware.py makes it.
 *
 * Every call takes the file's lock, reads the file again when it changed, and answers from it, so that separate processes
 * agree; calls that change something write it back under an exclusive lock.
 *
 *   NVML_DOUBLE_STATE  the state file, for tests (default: where the kernel module's double shows it, /proc/driver/nvidia)
 *   NVML_DOUBLE_DEV    the /dev that says which GPUs are visible, as device nodes do in a container; empty: all of them
 *   NVML_DOUBLE_TRACE  a file that gets a line "function code" a call, and "stub" where none was written (stubs.py): finds
 *                      out what a consumer asks
 */
#pragma once
#define NVML_NO_UNVERSIONED_FUNC_DEFS /* declare nvmlInit beside nvmlInit_v2: consumers of all ages are served */
#include <nvml.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef DRIVER_VERSION
#error "give -DDRIVER_VERSION=\"580.126.09\": the library belongs to one version of the driver"
#endif
#define CUDA_VERSION 13000 /* what branch 580 says; 1000 * major + 10 * minor */
#define STATE_FILE "/proc/driver/nvidia/double.ini"

enum { MAX_GPU = 16, MAX_GI = 15, MAX_CI = 8, MAX_PROC = 32, MAX_EVENT = 64, MAX_MIG_HANDLE = 256, NONE = -1 };

/* ---- what a GPU model is (models.c) ---- */
struct mig_profile {
    int index, id;    /* NVML_GPU_INSTANCE_PROFILE_*, and the driver's own number (19, 14, 9...): two different things */
    const char *name; /* "1g.10gb" */
    int slices, count, sm, copy, dec, jpeg, ofa, mem_mib;
    int size;          /* memory slices taken, out of 8 */
    const char *order; /* the starts allowed, in the order in which the driver picks them */
};
struct model {
    const char *key, *name;
    unsigned pci_id, pci_subsys;
    int arch, cc_major, cc_minor, cores, bus_width, mem_mib, reserved_mib, bar1_mib;
    int min_watts, watts, pcie_gen;
    int links, link_version, link_mbps;          /* NVLink */
    int sm_min, sm_clock, mem_clock, mem_low;    /* MHz; mem_low: memory's clock at idle, 0: it has but one */
    int shutdown, slowdown, gpu_max, memory_max; /* degrees Celsius; memory_max 0: no sensor */
    int banks;                                   /* of the row remapper; 0: it retires pages instead, or was not read */
    int retires, fabric;       /* retires pages (before Ampere); tells NVLink's fabric (Hopper and newer) */
    struct mig_profile mig[8]; /* ends at a NULL name; none: no MIG */
};
const struct model *find_model(const char *key);
const struct mig_profile *profile_by_id(const struct model *m, int id);
const struct mig_profile *profile_by_index(const struct model *m, unsigned index);
void ci_name(const struct mig_profile *p, int slices, char *name, size_t size); /* "MIG 2c.3g.40gb", "MIG 3g.40gb" */
int ci_slices(unsigned ci_profile);                                             /* of a compute profile; 0: unknown */

/* ---- what the state file says (state.c) ---- */
struct ci {
    int used, profile, start;
    char uuid[48];
};
struct gi {
    int used, profile, start;
    struct ci ci[MAX_CI];
};
struct proc {
    int used, pid, gi, ci, mem_mib;
    char type[4], name[96];
};
struct gpu {
    int used;
    char model[32], product[48], uuid[48], serial[32], pci[24];
    int minor, numa, unplugged; /* unplugged: it is not there */
    int temperature, power_w, util, mem_util, mem_used_mib, fan, pstate;
    int mem_total_mib, gsp; /* mem_total_mib 0: the model's; gsp: its firmware runs */
    /* settings; those down to lock_mem_max are lost when the driver loads and when the GPU is reset (0: its own value) */
    int persistence, power_limit_mw, compute_mode, lock_gpu_min, lock_gpu_max, lock_mem_min, lock_mem_max;
    int ecc, ecc_pending; /* ecc NONE: the card has none; ecc_pending NONE: nothing waits for a reset or a reboot */
    int ecc_corrected, ecc_uncorrected, ecc_corrected_total, ecc_uncorrected_total;
    int remap_corrected, remap_uncorrected, remap_pending, remap_failed, retired_sbe, retired_dbe, retired_pending;
    int link_gen, link_width;         /* PCIe as negotiated; 0: as wide and fast as GPU and slot can */
    int link_gen_max, link_width_max; /* what the slot can; 0: as much as the GPU */
    int pcie_replays;
    int mig, mig_pending, reset_required;
    int fabric_status, fabric_health; /* an nvmlReturn_t; NVML_GPU_FABRIC_HEALTH_MASK_* */
    char fabric[16];    /* not_supported, not_started, in_progress, completed; empty: as the host's fabric manager has it */
    long long throttle; /* nvmlClocksEventReason* bits */
    char fault[24];     /* lost, hang, unknown, reset_required...: every call but those of identity fails */
    char fail[256];     /* single functions: "nvmlDeviceGetPowerUsage:999,nvmlDeviceSetMigMode:15:2", the latter after two */
    char hang[128];     /* single functions that do not return: "nvmlDeviceGetPowerUsage,nvmlDeviceSetMigMode" */
    char held_by[64];   /* a client that keeps the GPU open: no reset, no change of the MIG mode */
    char links_down[64]; /* NVLinks: "3,7" */
    char topology[128];  /* to single GPUs, where it is not the NUMA nodes' distance: "1:10,2:20", NVML_TOPOLOGY_* */
    struct gi gi[MAX_GI];
    struct proc proc[MAX_PROC];
    const struct model *m;
};
struct event {
    int used, gpu, gi, ci;
    long long type, data;
};
struct host {
    char driver[32]; /* the version of the kernel module that is loaded; empty: none is */
    char fault[24], fail[256];
    char fabric_manager[32]; /* the version of the fabric manager that runs */
    int switches;            /* NVSwitches: with some, the GPUs need a fabric manager */
    int cuda_fault;          /* what cuInit answers, where it is not what the GPUs say */
    int events;              /* number of the newest event */
    struct gpu gpu[MAX_GPU];
    struct event event[MAX_EVENT];
};
extern struct host host;
nvmlReturn_t state_open(int write); /* lock, and read when changed */
void state_close(void);
nvmlReturn_t state_save(void); /* between state_open(1) and state_close */

/* ---- MIG's device nodes and the files that name them (capabilities.c) ---- */
int capability_minor(int gpu_minor, int gi, int ci); /* ci NONE: the GPU instance's own */
void capabilities_show(int gpu);                     /* bring files and nodes in step with the instances */

/* ---- handles (call.c) ---- */
struct nvmlDevice_st {
    int gpu, gi, ci; /* gi NONE: the whole GPU */
    char uuid[48];
};
struct nvmlGpuInstance_st {
    int gpu, gi;
};
struct nvmlComputeInstance_st {
    int gpu, gi, ci;
};
int visible(int gpu, int gi, int ci);
nvmlDevice_t gpu_handle(int gpu);
nvmlDevice_t mig_handle(int gpu, int gi, int ci);
nvmlReturn_t fault_code(const char *fault);
int listed(const char *list, const char *word); /* "3,7": is the word in it? */

/* ---- settings (settings.c) ---- */
int threshold(const struct gpu *g, nvmlTemperatureThresholds_t kind); /* degrees Celsius (device.c) */
void settings_reset(struct gpu *g);     /* what the driver forgets at a reset of the GPU; ECC's pending mode is current */
int clamped(int mhz, int min, int max); /* into a lock of clocks; 0, 0: there is none */

/* ---- one call: lock, look the device up, apply the faults; unlock on leaving the scope (call.c) ---- */
enum { READ = 0, WRITE = 1, IDENT = 2, MIG_OK = 4, ADMIN = 8 }; /* IDENT: answers for a lost GPU as well */
struct call {
    nvmlReturn_t rc;
    struct gpu *gpu;
    struct gi *gi;
    struct ci *ci;
    int locked;
};
struct call call_begin(const char *fn, nvmlDevice_t dev, int flags);
void call_end(struct call *c);
#define CALL(dev, flags)                                                                                                    \
    struct call c __attribute__((cleanup(call_end))) = call_begin(__func__, (dev), (flags));                                \
    if (c.rc != NVML_SUCCESS) return c.rc;                                                                                  \
    struct gpu *g __attribute__((unused)) = c.gpu
#define HOST(flags) CALL(NULL, (flags))
#define NEED(cond, code)                                                                                                    \
    do {                                                                                                                    \
        if (!(cond)) return trace(__func__, (code));                                                                        \
    } while (0)
#define ARG(p) NEED((p) != NULL, NVML_ERROR_INVALID_ARGUMENT)
#define API __attribute__((visibility("default"))) nvmlReturn_t
#define OLDNAME(old, new) extern __typeof(new) old __attribute__((alias(#new), visibility("default")))
/* a function that answers with one value of a device */
#define GETF(fn, flags, type, expr)                                                                                         \
    API fn(nvmlDevice_t d, type *out)                                                                                       \
    {                                                                                                                       \
        ARG(out);                                                                                                           \
        CALL(d, flags);                                                                                                     \
        *out = (type)(expr);                                                                                                \
        return NVML_SUCCESS;                                                                                                \
    }
#define GET(fn, type, expr) GETF(fn, READ, type, expr)
nvmlReturn_t trace(const char *fn, nvmlReturn_t rc);
nvmlReturn_t put_string(char *to, unsigned size, const char *from);
nvmlReturn_t stub(const char *fn);

/* ---- beside NVML's own functions: what nvidia-smi's double does through the real driver's private calls ---- */
nvmlReturn_t doubleDeviceReset(nvmlDevice_t device);
int doubleCudaState(void); /* what cuInit says */
