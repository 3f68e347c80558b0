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

/* ---- ECC and row remapping ---- */
API nvmlDeviceGetEccMode(nvmlDevice_t d, nvmlEnableState_t *now, nvmlEnableState_t *next)
{
    ARG(now);
    ARG(next);
    CALL(d, READ);
    *now = *next = (nvmlEnableState_t)g->ecc;
    return NVML_SUCCESS;
}
API nvmlDeviceGetDefaultEccMode(nvmlDevice_t d, nvmlEnableState_t *m)
{
    ARG(m);
    CALL(d, READ);
    *m = NVML_FEATURE_ENABLED;
    return NVML_SUCCESS;
}
static int ecc_count(struct gpu *g, nvmlMemoryErrorType_t t, nvmlEccCounterType_t k)
{
    return t == NVML_MEMORY_ERROR_TYPE_CORRECTED ? (k == NVML_VOLATILE_ECC ? g->ecc_corrected : g->ecc_corrected_total)
                                                 : (k == NVML_VOLATILE_ECC ? g->ecc_uncorrected : g->ecc_uncorrected_total);
}
API nvmlDeviceGetTotalEccErrors(nvmlDevice_t d, nvmlMemoryErrorType_t t, nvmlEccCounterType_t k, unsigned long long *v)
{
    ARG(v);
    CALL(d, READ);
    NEED(g->ecc, NVML_ERROR_NOT_SUPPORTED);
    *v = (unsigned long long)ecc_count(g, t, k);
    return NVML_SUCCESS;
}
API nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t d, nvmlMemoryErrorType_t t, nvmlEccCounterType_t k, nvmlMemoryLocation_t l,
                                    unsigned long long *v)
{
    ARG(v);
    CALL(d, READ);
    NEED(g->ecc, NVML_ERROR_NOT_SUPPORTED);
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
    *corr = (unsigned)g->remap_corrected;
    *unc = (unsigned)g->remap_uncorrected;
    *pending = (unsigned)g->remap_pending;
    *failed = (unsigned)g->remap_failed;
    return NVML_SUCCESS;
}

/* ---- NVLink and topology: every link goes to an NVSwitch, every pair of GPUs reaches each other through it ---- */
static int link_up(struct gpu *g, unsigned link)
{
    char list[80], key[16];
    snprintf(list, sizeof list, ",%s,", g->links_down);
    snprintf(key, sizeof key, ",%u,", link);
    return !strstr(list, key);
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
    NEED((int)link < g->m->links, NVML_ERROR_INVALID_ARGUMENT);
    *v = 1;
    return NVML_SUCCESS;
}
API nvmlDeviceGetNvLinkErrorCounter(nvmlDevice_t d, unsigned link, nvmlNvLinkErrorCounter_t k, unsigned long long *v)
{
    (void)k;
    ARG(v);
    CALL(d, READ);
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
API nvmlDeviceGetFieldValues(nvmlDevice_t d, int n, nvmlFieldValue_t *v)
{
    ARG(v);
    CALL(d, READ);
    for (int i = 0; i < n; i++) {
        v[i].timestamp = (long long)time(NULL) * 1000000;
        v[i].latencyUsec = 0;
        v[i].nvmlReturn = NVML_SUCCESS;
        v[i].valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
        v[i].value.ullVal = 0;
        switch (v[i].fieldId) {
        case NVML_FI_DEV_MEMORY_TEMP:
            v[i].value.uiVal = (unsigned)g->temperature + 6;
            break;
        case NVML_FI_DEV_NVLINK_LINK_COUNT:
            v[i].value.uiVal = (unsigned)g->m->links;
            break;
        case NVML_FI_DEV_POWER_AVERAGE:
        case NVML_FI_DEV_POWER_INSTANT:
            v[i].value.uiVal = (unsigned)g->power_w * 1000;
            break;
        case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX:
        case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX:
            v[i].valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
            if (!g->m->links) v[i].nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
            break;
        default:
            if (v[i].fieldId >= NVML_FI_DEV_NVLINK_SPEED_MBPS_L0 && v[i].fieldId < NVML_FI_DEV_NVLINK_SPEED_MBPS_L0 + 6)
                v[i].value.uiVal = (unsigned)g->m->link_mbps;
            else
                v[i].nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
        }
    }
    return NVML_SUCCESS;
}
