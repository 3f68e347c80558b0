/* How a GPU is: processes, ECC, row remapping, NVLink, topology, field values. */
#include "double.h"
#include <time.h>

/* ---- processes ---- */
static nvmlReturn_t processes(nvmlDevice_t d, const char *fn, char type, unsigned *count, void *out, int v1)
{
    struct call c __attribute__((cleanup(call_end))) = call_begin(fn, d, MIG_OK);
    if (c.rc != NVML_SUCCESS) return c.rc;
    if (!count) return NVML_ERROR_INVALID_ARGUMENT;
    unsigned n = 0, room = *count;
    for (int i = 0; i < MAX_PROC; i++) {
        struct proc *p = &c.gpu->proc[i];
        if (!p->used || p->type[0] != type || (c.ci && (p->gi != d->gi || p->ci != d->ci))) continue;
        if (n < room && out) {
            if (v1)
                ((nvmlProcessInfo_v1_t *)out)[n] =
                    (nvmlProcessInfo_v1_t){(unsigned)p->pid, (unsigned long long)p->mem_mib << 20};
            else
                ((nvmlProcessInfo_t *)out)[n] = (nvmlProcessInfo_t){(unsigned)p->pid, (unsigned long long)p->mem_mib << 20,
                                                                    (unsigned)p->gi, (unsigned)p->ci};
        }
        n++;
    }
    *count = n;
    return n > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}
#define PROCESSES(base, type)                                                                                               \
    API base##_v3(nvmlDevice_t d, unsigned *n, nvmlProcessInfo_t *p) { return processes(d, __func__, type, n, p, 0); }      \
    API base##_v2(nvmlDevice_t d, unsigned *n, nvmlProcessInfo_v2_t *p) { return processes(d, __func__, type, n, p, 0); }   \
    API base(nvmlDevice_t d, unsigned *n, nvmlProcessInfo_v1_t *p) { return processes(d, __func__, type, n, p, 1); }
PROCESSES(nvmlDeviceGetComputeRunningProcesses, 'C')
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses, 'G')
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses, 'M')

/* ---- ECC errors, rows remapped (Ampere and newer), pages retired (before) ---- */
static int ecc_count(struct gpu *g, nvmlMemoryErrorType_t t, nvmlEccCounterType_t k)
{
    return t == NVML_MEMORY_ERROR_TYPE_CORRECTED ? (k == NVML_VOLATILE_ECC ? g->ecc_corrected : g->ecc_corrected_total)
                                                 : (k == NVML_VOLATILE_ECC ? g->ecc_uncorrected : g->ecc_uncorrected_total);
}
API nvmlDeviceGetTotalEccErrors(nvmlDevice_t d, nvmlMemoryErrorType_t t, nvmlEccCounterType_t k, unsigned long long *v)
{
    ARG(v);
    CALL(d, READ);
    NEED(g->ecc == 1, NVML_ERROR_NOT_SUPPORTED);
    *v = (unsigned long long)ecc_count(g, t, k);
    return NVML_SUCCESS;
}
API nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t d, nvmlMemoryErrorType_t t, nvmlEccCounterType_t k, nvmlMemoryLocation_t l,
                                    unsigned long long *v)
{
    ARG(v);
    CALL(d, READ);
    NEED(g->ecc == 1, NVML_ERROR_NOT_SUPPORTED);
    *v = l == NVML_MEMORY_LOCATION_DRAM ? (unsigned long long)ecc_count(g, t, k) : 0; /* all of them in HBM */
    return NVML_SUCCESS;
}
API nvmlDeviceClearEccErrorCounts(nvmlDevice_t d, nvmlEccCounterType_t k)
{
    CALL(d, WRITE | ADMIN);
    g->ecc_corrected = g->ecc_uncorrected = 0;
    if (k == NVML_AGGREGATE_ECC) g->ecc_corrected_total = g->ecc_uncorrected_total = 0;
    return state_save();
}
API nvmlDeviceGetRemappedRows(nvmlDevice_t d, unsigned *corr, unsigned *unc, unsigned *pending, unsigned *failed)
{
    ARG(corr);
    ARG(unc);
    ARG(pending);
    ARG(failed);
    CALL(d, READ);
    NEED(!g->m->retires, NVML_ERROR_NOT_SUPPORTED);
    *corr = (unsigned)g->remap_corrected;
    *unc = (unsigned)g->remap_uncorrected;
    *pending = (unsigned)g->remap_pending;
    *failed = (unsigned)g->remap_failed;
    return NVML_SUCCESS;
}

API nvmlDeviceGetRowRemapperHistogram(nvmlDevice_t d, nvmlRowRemapperHistogramValues_t *v)
{
    ARG(v);
    CALL(d, READ);
    NEED(g->m->banks, NVML_ERROR_NOT_SUPPORTED);
    unsigned rows = (unsigned)(g->remap_corrected + g->remap_uncorrected), none = (unsigned)g->remap_failed;
    *v = (nvmlRowRemapperHistogramValues_t){.max = (unsigned)g->m->banks - rows - none, .high = rows, .none = none};
    return NVML_SUCCESS;
}
static nvmlReturn_t retired(nvmlDevice_t d, const char *fn, nvmlPageRetirementCause_t cause, unsigned *count,
                            unsigned long long *addresses, unsigned long long *times)
{
    struct call c __attribute__((cleanup(call_end))) = call_begin(fn, d, READ);
    if (c.rc != NVML_SUCCESS) return c.rc;
    if (!count || cause >= NVML_PAGE_RETIREMENT_CAUSE_COUNT) return NVML_ERROR_INVALID_ARGUMENT;
    if (!c.gpu->m->retires) return NVML_ERROR_NOT_SUPPORTED;
    int single = cause == NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS;
    unsigned room = *count, n = (unsigned)(single ? c.gpu->retired_sbe : c.gpu->retired_dbe);
    *count = n;
    for (unsigned k = 0; k < n && k < room; k++) {
        if (addresses) addresses[k] = 0x1d2f0 + k + (single ? 0x1000 : 0);
        if (times) times[k] = 1700000000000000ull + k;
    }
    return n > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}
API nvmlDeviceGetRetiredPages(nvmlDevice_t d, nvmlPageRetirementCause_t cause, unsigned *count, unsigned long long *at)
{
    return retired(d, __func__, cause, count, at, NULL);
}
API nvmlDeviceGetRetiredPages_v2(nvmlDevice_t d, nvmlPageRetirementCause_t cause, unsigned *count, unsigned long long *at,
                                 unsigned long long *times)
{
    return retired(d, __func__, cause, count, at, times);
}
API nvmlDeviceGetRetiredPagesPendingStatus(nvmlDevice_t d, nvmlEnableState_t *pending)
{
    ARG(pending);
    CALL(d, READ);
    NEED(g->m->retires, NVML_ERROR_NOT_SUPPORTED);
    *pending = (nvmlEnableState_t)g->retired_pending;
    return NVML_SUCCESS;
}

/* ---- NVLink's fabric: a GPU joins it when the fabric manager has set up the switches; 802 is CUDA's word for the wait ----
 */
static int fabric_state(const struct gpu *g)
{
    static const char *const states[] = {"not_supported", "not_started", "in_progress", "completed"};
    for (int k = 0; k <= NVML_GPU_FABRIC_STATE_COMPLETED; k++)
        if (!strcmp(g->fabric, states[k])) return k;
    return host.switches && !*host.fabric_manager ? NVML_GPU_FABRIC_STATE_IN_PROGRESS : NVML_GPU_FABRIC_STATE_COMPLETED;
}
API nvmlDeviceGetGpuFabricInfo(nvmlDevice_t d,
                               nvmlGpuFabricInfo_t *f) /* without switches of its own: one clique, no cluster */
{
    ARG(f);
    CALL(d, READ);
    NEED(g->m->fabric, NVML_ERROR_NOT_SUPPORTED);
    *f = (nvmlGpuFabricInfo_t){.status = (nvmlReturn_t)g->fabric_status, .state = (nvmlGpuFabricState_t)fabric_state(g)};
    return NVML_SUCCESS;
}
API nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t d, nvmlGpuFabricInfoV_t *f)
{
    ARG(f);
    CALL(d, READ);
    NEED(g->m->fabric, NVML_ERROR_NOT_SUPPORTED);
    unsigned version = f->version;
    NEED(version == nvmlGpuFabricInfo_v2 || version == nvmlGpuFabricInfo_v3, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    memset(f, 0, version == nvmlGpuFabricInfo_v2 ? sizeof(nvmlGpuFabricInfo_v2_t) : sizeof *f);
    f->version = version;
    f->status = (nvmlReturn_t)g->fabric_status;
    f->state = (nvmlGpuFabricState_t)fabric_state(g);
    f->healthMask = (unsigned)g->fabric_health;
    if (version == nvmlGpuFabricInfo_v3)
        f->healthSummary =
            g->fabric_health ? NVML_GPU_FABRIC_HEALTH_SUMMARY_UNHEALTHY : NVML_GPU_FABRIC_HEALTH_SUMMARY_NOT_SUPPORTED;
    return NVML_SUCCESS;
}

/* ---- NVLink and topology: every link goes to an NVSwitch, every pair of GPUs reaches each other through it. That a GPU in
 * MIG mode has no active link was not read at a source: it has no peers then, and who judges links must not take it for a
 * fault. */
static int link_up(struct gpu *g, unsigned link)
{
    char key[16];
    snprintf(key, sizeof key, "%u", link);
    return !g->mig && !listed(g->links_down, key);
}
#define LINK(fn, type, expr)                                                                                                \
    API fn(nvmlDevice_t d, unsigned link, type *out)                                                                        \
    {                                                                                                                       \
        ARG(out);                                                                                                           \
        CALL(d, READ);                                                                                                      \
        NEED((int)link < g->m->links, g->m->links ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_NOT_SUPPORTED);                \
        *out = (type)(expr);                                                                                                \
        return NVML_SUCCESS;                                                                                                \
    }
LINK(nvmlDeviceGetNvLinkState, nvmlEnableState_t, link_up(g, link))
LINK(nvmlDeviceGetNvLinkVersion, unsigned, g->m->link_version)
LINK(nvmlDeviceGetNvLinkRemoteDeviceType, nvmlIntNvLinkDeviceType_t, NVML_NVLINK_DEVICE_TYPE_SWITCH)
API nvmlDeviceGetNvLinkCapability(nvmlDevice_t d, unsigned link, nvmlNvLinkCapability_t k, unsigned *v)
{
    (void)k;
    ARG(v);
    CALL(d, READ);
    NEED(g->m->links, NVML_ERROR_NOT_SUPPORTED);
    NEED((int)link < g->m->links, NVML_ERROR_INVALID_ARGUMENT);
    *v = 1;
    return NVML_SUCCESS;
}
API nvmlDeviceGetNvLinkErrorCounter(nvmlDevice_t d, unsigned link, nvmlNvLinkErrorCounter_t k, unsigned long long *v)
{
    (void)k;
    ARG(v);
    CALL(d, READ);
    NEED(g->m->links, NVML_ERROR_NOT_SUPPORTED);
    NEED((int)link < g->m->links, NVML_ERROR_INVALID_ARGUMENT);
    *v = 0;
    return NVML_SUCCESS;
}
API nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t d, unsigned link, nvmlPciInfo_t *p)
{
    ARG(p);
    CALL(d, READ);
    NEED((int)link < g->m->links && link_up(g, link), NVML_ERROR_INVALID_ARGUMENT);
    memset(p, 0, sizeof *p);
    p->bus = 0x05 + link % 4; /* never a GPU's bus: go-gpuallocator would take it for a one-way link and panic */
    p->pciDeviceId = 0x22A310DE;
    snprintf(p->busId, sizeof p->busId, "00000000:%02X:00.0", p->bus);
    snprintf(p->busIdLegacy, sizeof p->busIdLegacy, "0000:%02X:00.0", p->bus);
    return NVML_SUCCESS;
}
OLDNAME(nvmlDeviceGetNvLinkRemotePciInfo, nvmlDeviceGetNvLinkRemotePciInfo_v2);
static int told_level(struct gpu *g, int other) /* of `topology`; -1: it does not say */
{
    char list[160], key[16];
    snprintf(list, sizeof list, ",%s", g->topology);
    snprintf(key, sizeof key, ",%d:", other);
    const char *at = strstr(list, key);
    return at ? atoi(at + strlen(key)) : -1;
}
static nvmlGpuTopologyLevel_t level(int a, int b)
{
    struct gpu *x = &host.gpu[a], *y = &host.gpu[b];
    if (a == b) return NVML_TOPOLOGY_INTERNAL;
    int told = told_level(x, b) >= 0 ? told_level(x, b) : told_level(y, a);
    if (told >= 0) return (nvmlGpuTopologyLevel_t)told;
    return x->numa == y->numa ? NVML_TOPOLOGY_NODE : NVML_TOPOLOGY_SYSTEM;
}
API nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t a, nvmlDevice_t b, nvmlGpuTopologyLevel_t *l)
{
    ARG(l);
    ARG(b);
    CALL(a, READ);
    *l = level(a->gpu, b->gpu);
    return NVML_SUCCESS;
}
API nvmlDeviceGetTopologyNearestGpus(nvmlDevice_t d, nvmlGpuTopologyLevel_t l, unsigned *n, nvmlDevice_t *out)
{
    ARG(n);
    CALL(d, READ);
    unsigned room = *n;
    *n = 0;
    for (int k = 0; k < MAX_GPU; k++) {
        if (k == d->gpu || !visible(k, NONE, NONE) || level(d->gpu, k) != l) continue;
        if (out && *n < room) out[*n] = gpu_handle(k);
        ++*n;
    }
    return NVML_SUCCESS;
}
API nvmlDeviceGetP2PStatus(nvmlDevice_t a, nvmlDevice_t b, nvmlGpuP2PCapsIndex_t k, nvmlGpuP2PStatus_t *s)
{
    (void)k;
    ARG(s);
    ARG(b);
    CALL(a, READ);
    *s = g->mig || host.gpu[b->gpu].mig ? NVML_P2P_STATUS_NOT_SUPPORTED : NVML_P2P_STATUS_OK;
    return NVML_SUCCESS;
}

/* ---- field values: the few that consumers ask for ---- */
static nvmlReturn_t number(nvmlFieldValue_t *v, unsigned long long value)
{
    v->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
    v->value.ullVal = value;
    return NVML_SUCCESS;
}
static nvmlReturn_t small(nvmlFieldValue_t *v, int value)
{
    v->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
    v->value.ullVal = 0;
    v->value.uiVal = (unsigned)value;
    return NVML_SUCCESS;
}
static nvmlReturn_t margin(nvmlFieldValue_t *v, const struct gpu *g, nvmlTemperatureThresholds_t kind)
{
    if (g->m->arch < NVML_DEVICE_ARCH_ADA || !threshold(g, kind)) return NVML_ERROR_NOT_SUPPORTED;
    v->valueType = NVML_VALUE_TYPE_SIGNED_INT;
    v->value.ullVal = 0;
    v->value.siVal = kind == NVML_TEMPERATURE_THRESHOLD_MEM_MAX ? 0 : g->m->gpu_max - threshold(g, kind);
    return NVML_SUCCESS;
}
static nvmlReturn_t link_field(nvmlFieldValue_t *v, struct gpu *g) /* scopeId: which link */
{
    if (!g->m->links) return NVML_ERROR_NOT_SUPPORTED;
    if ((int)v->scopeId >= g->m->links) return NVML_ERROR_INVALID_ARGUMENT;
    int up = link_up(g, v->scopeId);
    if (v->fieldId == NVML_FI_DEV_NVLINK_GET_STATE) return small(v, up);
    if (v->fieldId == NVML_FI_DEV_NVLINK_GET_VERSION) return small(v, g->m->link_version);
    return small(v, up ? g->m->link_mbps : 0);
}
static nvmlReturn_t field(nvmlFieldValue_t *v, struct gpu *g)
{
    switch (v->fieldId) {
    case NVML_FI_DEV_GET_GPU_RECOVERY_ACTION:
        return small(v, g->reset_required || g->remap_pending || g->retired_pending ? NVML_GPU_RECOVERY_ACTION_GPU_RESET
                                                                                    : NVML_GPU_RECOVERY_ACTION_NONE);
    case NVML_FI_DEV_MEMORY_TEMP:
        return g->m->memory_max ? small(v, g->temperature + 6) : NVML_ERROR_NOT_SUPPORTED;
    case NVML_FI_DEV_NVLINK_LINK_COUNT:
        return small(v, g->m->links);
    case NVML_FI_DEV_NVLINK_GET_STATE:
    case NVML_FI_DEV_NVLINK_GET_SPEED:
    case NVML_FI_DEV_NVLINK_GET_VERSION:
        return link_field(v, g);
    case NVML_FI_DEV_POWER_AVERAGE:
    case NVML_FI_DEV_POWER_INSTANT:
        return small(v, g->power_w * 1000);
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX:
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX:
        return g->m->links ? number(v, 0) : NVML_ERROR_NOT_SUPPORTED;
    case NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT:
        return margin(v, g, NVML_TEMPERATURE_THRESHOLD_SHUTDOWN);
    case NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT:
        return margin(v, g, NVML_TEMPERATURE_THRESHOLD_SLOWDOWN);
    case NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT:
        return margin(v, g, NVML_TEMPERATURE_THRESHOLD_GPU_MAX);
    case NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT:
        return margin(v, g, NVML_TEMPERATURE_THRESHOLD_MEM_MAX);
    }
    if (v->fieldId >= NVML_FI_DEV_NVLINK_SPEED_MBPS_L0 && v->fieldId < NVML_FI_DEV_NVLINK_SPEED_MBPS_L0 + 6)
        return small(v, g->m->link_mbps);
    return NVML_ERROR_NOT_SUPPORTED;
}
API nvmlDeviceGetFieldValues(nvmlDevice_t d, int n, nvmlFieldValue_t *v)
{
    ARG(v);
    CALL(d, READ);
    for (int i = 0; i < n; i++) {
        v[i].timestamp = (long long)time(NULL) * 1000000;
        v[i].latencyUsec = 0;
        v[i].nvmlReturn = field(&v[i], g);
    }
    return NVML_SUCCESS;
}
