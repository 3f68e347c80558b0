/* Events: an Xid reaches those who wait for it. */
#include "double.h"
#include <unistd.h>

/* ---- events (Xid): [event.N] sections newer than the set's registration ---- */
struct nvmlEventSet_st {
    unsigned long long mask[MAX_GPU];
    int last;
};
API nvmlEventSetCreate(nvmlEventSet_t *s)
{
    ARG(s);
    HOST(READ);
    *s = calloc(1, sizeof **s);
    (*s)->last = host.events;
    return NVML_SUCCESS;
}
API nvmlEventSetFree(nvmlEventSet_t s)
{
    ARG(s);
    free(s);
    return trace(__func__, NVML_SUCCESS);
}
API nvmlDeviceGetSupportedEventTypes(nvmlDevice_t d, unsigned long long *t)
{
    ARG(t);
    CALL(d, READ);
    *t = nvmlEventTypeXidCriticalError | nvmlEventTypeDoubleBitEccError | nvmlEventTypeSingleBitEccError |
         nvmlEventTypeClock | nvmlEventTypePState;
    return NVML_SUCCESS;
}
API nvmlDeviceRegisterEvents(nvmlDevice_t d, unsigned long long types, nvmlEventSet_t s)
{
    ARG(s);
    CALL(d, READ);
    s->mask[d->gpu] |= types;
    return NVML_SUCCESS;
}
static nvmlReturn_t next_event(nvmlEventSet_t s, nvmlEventData_t *e)
{
    HOST(READ);
    for (int n = s->last + 1; n <= host.events; n++) {
        struct event *v = &host.event[n % MAX_EVENT];
        s->last = n;
        if (v->used != n || v->gpu < 0 || v->gpu >= MAX_GPU || !(s->mask[v->gpu] & (unsigned long long)v->type)) continue;
        *e = (nvmlEventData_t){gpu_handle(v->gpu), (unsigned long long)v->type, (unsigned long long)v->data, (unsigned)v->gi,
                               (unsigned)v->ci};
        return NVML_SUCCESS;
    }
    for (int i = 0; i < MAX_GPU; i++)
        if (s->mask[i] && fault_code(host.gpu[i].fault) == NVML_ERROR_GPU_IS_LOST) return NVML_ERROR_GPU_IS_LOST;
    return NVML_ERROR_TIMEOUT;
}
API nvmlEventSetWait_v2(nvmlEventSet_t s, nvmlEventData_t *e, unsigned ms)
{
    ARG(s);
    ARG(e);
    for (unsigned waited = 0;; waited += 100) {
        nvmlReturn_t rc = next_event(s, e);
        if (rc == NVML_SUCCESS || waited >= ms) return trace(__func__, rc);
        usleep(100000);
    }
}
OLDNAME(nvmlEventSetWait, nvmlEventSetWait_v2);
