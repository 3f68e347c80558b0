/* A GPU: who it is, what its sensors, clocks and memory say. */
#include "double.h"
#include <time.h>

/* ---- identity: answered for a lost GPU too, as the driver caches it ---- */
API nvmlDeviceGetIndex(nvmlDevice_t d, unsigned *index)
{
    ARG(index);
    CALL(d, IDENT | MIG_OK);
    *index = 0;
    for (int k = 0; !c.ci && k < d->gpu; k++) *index += (unsigned)visible(k, NONE, NONE);
    for (int k = 0; c.ci && k < d->gi * MAX_CI + d->ci; k++) /* of a MIG device: its place under the parent */
        *index += g->gi[k / MAX_CI].used && g->gi[k / MAX_CI].ci[k % MAX_CI].used && visible(d->gpu, k / MAX_CI, k % MAX_CI);
    return NVML_SUCCESS;
}
GETF(nvmlDeviceGetMinorNumber, IDENT, unsigned, g->minor)
GETF(nvmlDeviceGetModuleId, IDENT, unsigned, d->gpu + 1)
GETF(nvmlDeviceGetBoardId, IDENT, unsigned, 0x100 * (d->gpu + 1))
GETF(nvmlDeviceGetMultiGpuBoard, IDENT, unsigned, 0)
GETF(nvmlDeviceGetBrand, IDENT | MIG_OK, nvmlBrandType_t, NVML_BRAND_NVIDIA)
GETF(nvmlDeviceGetArchitecture, IDENT | MIG_OK, nvmlDeviceArchitecture_t, g->m->arch)
API nvmlDeviceGetName(nvmlDevice_t d, char *s, unsigned n)
{
    CALL(d, IDENT | MIG_OK);
    char name[96], instance[40] = "";
    if (c.ci) ci_name(profile_by_id(g->m, c.gi->profile), ci_slices((unsigned)c.ci->profile), instance, sizeof instance);
    snprintf(name, sizeof name, "%s%s%s", g->m->name, c.ci ? " " : "", instance);
    return put_string(s, n, name);
}
API nvmlDeviceGetUUID(nvmlDevice_t d, char *s, unsigned n)
{
    CALL(d, IDENT | MIG_OK);
    return put_string(s, n, c.ci ? c.ci->uuid : g->uuid);
}
API nvmlDeviceGetSerial(nvmlDevice_t d, char *s, unsigned n)
{
    CALL(d, IDENT);
    return put_string(s, n, g->serial);
}
API nvmlDeviceGetBoardPartNumber(nvmlDevice_t d, char *s, unsigned n)
{
    CALL(d, IDENT);
    return put_string(s, n, "692-2G520-0200-000");
}
API nvmlDeviceGetVbiosVersion(nvmlDevice_t d, char *s, unsigned n)
{
    CALL(d, IDENT);
    return put_string(s, n, "96.00.99.00.01");
}
API nvmlDeviceGetInforomImageVersion(nvmlDevice_t d, char *s, unsigned n)
{
    CALL(d, IDENT);
    return put_string(s, n, "G520.0200.00.05");
}
API nvmlDeviceGetGspFirmwareVersion(nvmlDevice_t d, char *s)
{
    ARG(s);
    CALL(d, IDENT);
    NEED(g->gsp, NVML_ERROR_NOT_SUPPORTED);
    strcpy(s, host.driver);
    return NVML_SUCCESS;
}
API nvmlDeviceGetGspFirmwareMode(nvmlDevice_t d, unsigned *on, unsigned *by_default)
{
    ARG(on);
    ARG(by_default);
    CALL(d, IDENT);
    *on = (unsigned)g->gsp; /* the open kernel modules run on GSP only */
    *by_default = 1;
    return NVML_SUCCESS;
}
API nvmlDeviceGetCudaComputeCapability(nvmlDevice_t d, int *major, int *minor)
{
    ARG(major);
    ARG(minor);
    CALL(d, IDENT | MIG_OK);
    *major = g->m->cc_major;
    *minor = g->m->cc_minor;
    return NVML_SUCCESS;
}
API nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *p)
{
    ARG(p);
    CALL(d, IDENT | MIG_OK);
    memset(p, 0, sizeof *p);
    sscanf(g->pci, "%x:%x:%x", &p->domain, &p->bus, &p->device);
    p->pciDeviceId = g->m->pci_id;
    p->pciSubSystemId = g->m->pci_subsys;
    snprintf(p->busId, sizeof p->busId, "%08X:%02X:%02X.0", p->domain & 0xFFFFu, p->bus & 0xFFu, p->device & 0xFFu);
    snprintf(p->busIdLegacy, sizeof p->busIdLegacy, "%04X:%02X:%02X.0", p->domain & 0xFFFFu, p->bus & 0xFFu,
             p->device & 0xFFu);
    return NVML_SUCCESS;
}
OLDNAME(nvmlDeviceGetPciInfo_v2, nvmlDeviceGetPciInfo_v3);
OLDNAME(nvmlDeviceGetPciInfo, nvmlDeviceGetPciInfo_v3);

/* ---- readings ---- */
GET(nvmlDeviceGetTotalEnergyConsumption, unsigned long long,
    (unsigned long long)time(NULL) % 1000000 * (unsigned)g->power_w * 1000)
GET(nvmlDeviceGetPerformanceState, nvmlPstates_t, g->pstate)
GET(nvmlDeviceGetPowerState, nvmlPstates_t, g->pstate)
GET(nvmlDeviceGetDisplayMode, nvmlEnableState_t, NVML_FEATURE_DISABLED)
GET(nvmlDeviceGetDisplayActive, nvmlEnableState_t, NVML_FEATURE_DISABLED)
GET(nvmlDeviceGetVirtualizationMode, nvmlGpuVirtualizationMode_t, NVML_GPU_VIRTUALIZATION_MODE_NONE)
GET(nvmlDeviceGetNumGpuCores, unsigned, g->m->cores)
GET(nvmlDeviceGetMemoryBusWidth, unsigned, g->m->bus_width)
GET(nvmlDeviceGetNumFans, unsigned, 0)
GET(nvmlDeviceGetIrqNum, unsigned, 64 + d->gpu)
GET(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, g->throttle ? g->throttle : g->util ? 0 : 1)
GET(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, g->throttle ? g->throttle : g->util ? 0 : 1)
GET(nvmlDeviceGetSupportedClocksThrottleReasons, unsigned long long, 0x1FF)
GET(nvmlDeviceGetSupportedClocksEventReasons, unsigned long long, 0x1FF)

/* ---- PCIe: what the GPU can, what the slot lets it, what was negotiated ---- */
#define SLOT_GEN(g) (NARROW((g)->link_gen_max, (g)->m->pcie_gen))
#define SLOT_WIDTH(g) (NARROW((g)->link_width_max, 16))
#define NARROW(told, own) ((told) && (told) < (own) ? (told) : (own))
static const unsigned lane_mbps[] = {0, 2500, 5000, 8000, 16000, 32000, 64000}; /* by generation */
GET(nvmlDeviceGetGpuMaxPcieLinkGeneration, unsigned, g->m->pcie_gen)
GET(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, SLOT_GEN(g))
GET(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, NARROW(g->link_gen, SLOT_GEN(g)))
GET(nvmlDeviceGetMaxPcieLinkWidth, unsigned, SLOT_WIDTH(g))
GET(nvmlDeviceGetCurrPcieLinkWidth, unsigned, NARROW(g->link_width, SLOT_WIDTH(g)))
GET(nvmlDeviceGetPcieSpeed, unsigned, lane_mbps[NARROW(g->link_gen, SLOT_GEN(g))])
GET(nvmlDeviceGetPcieReplayCounter, unsigned, g->pcie_replays)

/* ---- temperatures: from Ada on limits are told as distances to where clocks begin to fall, and by fields alone ---- */
API nvmlDeviceGetTemperature(nvmlDevice_t d, nvmlTemperatureSensors_t s, unsigned *t)
{
    ARG(t);
    CALL(d, READ);
    NEED(s == NVML_TEMPERATURE_GPU, NVML_ERROR_INVALID_ARGUMENT);
    *t = (unsigned)g->temperature;
    return NVML_SUCCESS;
}
API nvmlDeviceGetTemperatureV(nvmlDevice_t d, nvmlTemperature_t *t)
{
    ARG(t);
    CALL(d, READ);
    NEED(t->version == nvmlTemperature_v1, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    t->temperature = g->temperature;
    return NVML_SUCCESS;
}
int threshold(const struct gpu *g, nvmlTemperatureThresholds_t kind) /* 0: there is none */
{
    switch (kind) {
    case NVML_TEMPERATURE_THRESHOLD_SHUTDOWN:
        return g->m->shutdown;
    case NVML_TEMPERATURE_THRESHOLD_SLOWDOWN:
        return g->m->slowdown;
    case NVML_TEMPERATURE_THRESHOLD_MEM_MAX:
        return g->m->memory_max;
    case NVML_TEMPERATURE_THRESHOLD_GPU_MAX:
        return g->m->gpu_max;
    default:
        return 0;
    }
}
API nvmlDeviceGetTemperatureThreshold(nvmlDevice_t d, nvmlTemperatureThresholds_t kind, unsigned *t)
{
    ARG(t);
    CALL(d, READ);
    NEED(kind < NVML_TEMPERATURE_THRESHOLD_COUNT, NVML_ERROR_INVALID_ARGUMENT);
    NEED(g->m->arch < NVML_DEVICE_ARCH_ADA && threshold(g, kind), NVML_ERROR_NOT_SUPPORTED);
    *t = (unsigned)threshold(g, kind);
    return NVML_SUCCESS;
}
API nvmlDeviceGetMarginTemperature(nvmlDevice_t d, nvmlMarginTemperature_t *t)
{
    ARG(t);
    CALL(d, READ);
    NEED(t->version == nvmlMarginTemperature_v1, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    NEED(g->m->arch >= NVML_DEVICE_ARCH_ADA, NVML_ERROR_NOT_SUPPORTED);
    t->marginTemperature = g->m->gpu_max - g->temperature;
    return NVML_SUCCESS;
}
API nvmlDeviceGetUtilizationRates(nvmlDevice_t d, nvmlUtilization_t *u)
{
    ARG(u);
    CALL(d, READ);
    NEED(!g->mig, NVML_ERROR_NOT_SUPPORTED); /* as the driver: no utilisation for a GPU in MIG mode */
    u->gpu = (unsigned)g->util;
    u->memory = (unsigned)g->mem_util;
    return NVML_SUCCESS;
}
#define CODEC(fn)                                                                                                           \
    API fn(nvmlDevice_t d, unsigned *u, unsigned *us)                                                                       \
    {                                                                                                                       \
        ARG(u);                                                                                                             \
        ARG(us);                                                                                                            \
        CALL(d, READ);                                                                                                      \
        NEED(!g->mig, NVML_ERROR_NOT_SUPPORTED);                                                                            \
        *u = 0;                                                                                                             \
        *us = 167000;                                                                                                       \
        return NVML_SUCCESS;                                                                                                \
    }
CODEC(nvmlDeviceGetEncoderUtilization)
CODEC(nvmlDeviceGetDecoderUtilization)
CODEC(nvmlDeviceGetJpgUtilization)
CODEC(nvmlDeviceGetOfaUtilization)
API nvmlDeviceGetPcieThroughput(nvmlDevice_t d, nvmlPcieUtilCounter_t k, unsigned *v)
{
    (void)k;
    ARG(v);
    CALL(d, READ);
    *v = g->util ? 120000 : 900;
    return NVML_SUCCESS;
}
static unsigned clock_mhz(struct gpu *g, nvmlClockType_t k, int max)
{
    if (k == NVML_CLOCK_MEM)
        return (unsigned)(max ? g->m->mem_clock : clamped(g->m->mem_clock, g->lock_mem_min, g->lock_mem_max));
    if (max) return (unsigned)g->m->sm_clock;
    return (unsigned)clamped(g->util ? g->m->sm_clock : g->m->sm_min, g->lock_gpu_min, g->lock_gpu_max);
}
API nvmlDeviceGetClockInfo(nvmlDevice_t d, nvmlClockType_t k, unsigned *v)
{
    ARG(v);
    CALL(d, READ);
    *v = clock_mhz(g, k, 0);
    return NVML_SUCCESS;
}
API nvmlDeviceGetMaxClockInfo(nvmlDevice_t d, nvmlClockType_t k, unsigned *v)
{
    ARG(v);
    CALL(d, READ);
    *v = clock_mhz(g, k, 1);
    return NVML_SUCCESS;
}
API nvmlDeviceGetApplicationsClock(nvmlDevice_t d, nvmlClockType_t k, unsigned *v)
{
    ARG(v);
    CALL(d, READ);
    *v = clock_mhz(g, k, 1);
    return NVML_SUCCESS;
}
API nvmlDeviceGetClock(nvmlDevice_t d, nvmlClockType_t k, nvmlClockId_t id, unsigned *v)
{
    ARG(v);
    CALL(d, READ);
    *v = clock_mhz(g, k, id != NVML_CLOCK_ID_CURRENT);
    return NVML_SUCCESS;
}

/* ---- memory: of the GPU, or of the instance that a MIG handle stands for ---- */
static unsigned long long mem_used(struct call *c, unsigned long long *total, unsigned long long *reserved)
{
    unsigned long long used = 0, mib = 1ull << 20;
    struct gpu *g = c->gpu;
    *total = mib * (unsigned)(c->gi              ? profile_by_id(g->m, c->gi->profile)->mem_mib
                              : g->mem_total_mib ? g->mem_total_mib
                                                 : g->m->mem_mib);
    *reserved = c->gi ? 0 : mib * (unsigned)g->m->reserved_mib;
    for (int i = 0; i < MAX_PROC; i++)
        if (g->proc[i].used && (!c->gi || g->proc[i].gi == (int)(c->gi - g->gi))) used += mib * (unsigned)g->proc[i].mem_mib;
    return c->gi ? used + 16 * mib : used + mib * (unsigned)g->mem_used_mib;
}
API nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *m) /* the old struct counts the reserved part as used */
{
    ARG(m);
    CALL(d, MIG_OK);
    unsigned long long reserved, total, used = mem_used(&c, &total, &reserved);
    *m = (nvmlMemory_t){.total = total, .used = used + reserved, .free = total - used - reserved};
    return NVML_SUCCESS;
}
API nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t d, nvmlMemory_v2_t *m)
{
    ARG(m);
    CALL(d, MIG_OK);
    NEED(m->version == nvmlMemory_v2, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    m->used = mem_used(&c, &m->total, &m->reserved);
    m->free = m->total - m->used - m->reserved;
    return NVML_SUCCESS;
}
API nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t d, nvmlBAR1Memory_t *b)
{
    ARG(b);
    CALL(d, MIG_OK);
    unsigned long long total = (unsigned long long)g->m->bar1_mib << 20, used = 1 << 20;
    *b = (nvmlBAR1Memory_t){.bar1Total = total, .bar1Used = used, .bar1Free = total - used};
    return NVML_SUCCESS;
}
