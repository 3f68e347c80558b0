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
    strcpy(s, host.driver);
    return NVML_SUCCESS;
}
API nvmlDeviceGetGspFirmwareMode(nvmlDevice_t d, unsigned *on, unsigned *by_default)
{
    ARG(on);
    ARG(by_default);
    CALL(d, IDENT);
    *on = *by_default = 1; /* the open kernel modules run on GSP only */
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
GET(nvmlDeviceGetPowerUsage, unsigned, g->power_w * 1000)
#define LIMIT(g) ((g)->power_limit_w ? (g)->power_limit_w : (g)->m->watts)
GET(nvmlDeviceGetPowerManagementLimit, unsigned, LIMIT(g) * 1000)
GET(nvmlDeviceGetEnforcedPowerLimit, unsigned, LIMIT(g) * 1000)
GET(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, g->m->watts * 1000)
GET(nvmlDeviceGetPowerManagementMode, nvmlEnableState_t, NVML_FEATURE_ENABLED)
GET(nvmlDeviceGetTotalEnergyConsumption, unsigned long long,
    (unsigned long long)time(NULL) % 1000000 * (unsigned)g->power_w * 1000)
GET(nvmlDeviceGetPerformanceState, nvmlPstates_t, g->pstate)
GET(nvmlDeviceGetPowerState, nvmlPstates_t, g->pstate)
GET(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, g->persistence)
GET(nvmlDeviceGetComputeMode, nvmlComputeMode_t, NVML_COMPUTEMODE_DEFAULT)
GET(nvmlDeviceGetDisplayMode, nvmlEnableState_t, NVML_FEATURE_DISABLED)
GET(nvmlDeviceGetDisplayActive, nvmlEnableState_t, NVML_FEATURE_DISABLED)
GET(nvmlDeviceGetVirtualizationMode, nvmlGpuVirtualizationMode_t, NVML_GPU_VIRTUALIZATION_MODE_NONE)
GET(nvmlDeviceGetNumGpuCores, unsigned, g->m->cores)
GET(nvmlDeviceGetMemoryBusWidth, unsigned, g->m->bus_width)
GET(nvmlDeviceGetNumFans, unsigned, 0)
GET(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, g->link_gen ? g->link_gen : g->m->pcie_gen)
GET(nvmlDeviceGetGpuMaxPcieLinkGeneration, unsigned, g->m->pcie_gen)
GET(nvmlDeviceGetIrqNum, unsigned, 64 + d->gpu)
GET(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, g->m->pcie_gen)
GET(nvmlDeviceGetCurrPcieLinkWidth, unsigned, g->link_width ? g->link_width : 16)
GET(nvmlDeviceGetMaxPcieLinkWidth, unsigned, 16)
GET(nvmlDeviceGetPcieReplayCounter, unsigned, 0)
GET(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, g->throttle ? g->throttle : g->util ? 0 : 1)
GET(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, g->throttle ? g->throttle : g->util ? 0 : 1)
GET(nvmlDeviceGetSupportedClocksThrottleReasons, unsigned long long, 0x1FF)
GET(nvmlDeviceGetSupportedClocksEventReasons, unsigned long long, 0x1FF)
GET(nvmlDeviceGetNumaNodeId, unsigned, g->numa)
API nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t d, unsigned *min, unsigned *max)
{
    ARG(min);
    ARG(max);
    CALL(d, READ);
    *min = 200000;
    *max = (unsigned)g->m->watts * 1000;
    return NVML_SUCCESS;
}
API nvmlDeviceSetPowerManagementLimit(nvmlDevice_t d, unsigned mw)
{
    CALL(d, WRITE | ADMIN);
    NEED(mw >= 200000 && mw <= (unsigned)g->m->watts * 1000, NVML_ERROR_INVALID_ARGUMENT);
    g->power_limit_w = (int)(mw / 1000);
    return state_save();
}
API nvmlDeviceSetPersistenceMode(nvmlDevice_t d, nvmlEnableState_t on)
{
    CALL(d, WRITE | ADMIN);
    g->persistence = (int)on;
    return state_save();
}
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
API nvmlDeviceGetTemperatureThreshold(nvmlDevice_t d, nvmlTemperatureThresholds_t k, unsigned *t)
{
    ARG(t);
    CALL(d, READ);
    *t = (unsigned)(k == NVML_TEMPERATURE_THRESHOLD_SHUTDOWN   ? g->m->max_temp
                    : k == NVML_TEMPERATURE_THRESHOLD_SLOWDOWN ? g->m->max_temp - 3
                                                               : g->m->max_temp - 5);
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
CODEC(nvmlDeviceGetJpgUtilization) CODEC(nvmlDeviceGetOfaUtilization) API
    nvmlDeviceGetPcieThroughput(nvmlDevice_t d, nvmlPcieUtilCounter_t k, unsigned *v)
{
    (void)k;
    ARG(v);
    CALL(d, READ);
    *v = g->util ? 120000 : 900;
    return NVML_SUCCESS;
}
static unsigned clock_mhz(struct gpu *g, nvmlClockType_t k, int max)
{
    return (unsigned)(k == NVML_CLOCK_MEM ? g->m->mem_clock : max || g->util ? g->m->sm_clock : 345);
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
    *total = mib * (unsigned)(c->gi ? profile_by_id(g->m, c->gi->profile)->mem_mib : g->m->mem_mib);
    *reserved = c->gi ? 0 : 580 * mib;
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
    *b = (nvmlBAR1Memory_t){.bar1Total = 128ull << 30, .bar1Used = 4 << 20, .bar1Free = (128ull << 30) - (4 << 20)};
    return NVML_SUCCESS;
}
