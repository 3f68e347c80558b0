/* MIG: mode, GPU instances, compute instances, MIG device handles. The instances live in the state file. */
#include "double.h"

static struct nvmlGpuInstance_st gis[MAX_GPU][MAX_GI];
static struct nvmlComputeInstance_st cis[MAX_GPU][MAX_GI][MAX_CI];
static nvmlGpuInstance_t gi_handle(int gpu, int gi)
{
    gis[gpu][gi] = (struct nvmlGpuInstance_st){gpu, gi};
    return &gis[gpu][gi];
}
static nvmlComputeInstance_t ci_handle(int gpu, int gi, int ci)
{
    cis[gpu][gi][ci] = (struct nvmlComputeInstance_st){gpu, gi, ci};
    return &cis[gpu][gi][ci];
}

static int busy(struct gpu *g, int gi, int ci) /* NONE: any */
{
    for (int i = 0; i < MAX_PROC; i++)
        if (g->proc[i].used && (gi == NONE || g->proc[i].gi == gi) && (ci == NONE || g->proc[i].ci == ci)) return 1;
    return 0;
}
static int any_gi(struct gpu *g)
{
    for (int i = 0; i < MAX_GI; i++)
        if (g->gi[i].used) return 1;
    return 0;
}
static int free_at(struct gpu *g, int start, int size)
{
    for (int i = 0; i < MAX_GI; i++) {
        if (!g->gi[i].used) continue;
        int s = g->gi[i].start, n = profile_by_id(g->m, g->gi[i].profile)->size;
        if (start < s + n && s < start + size) return 0;
    }
    return 1;
}
static int count_of(struct gpu *g, int profile)
{
    int n = 0;
    for (int i = 0; i < MAX_GI; i++) n += g->gi[i].used && g->gi[i].profile == profile;
    return n;
}
/* the driver numbers instances by their place in the tree: the whole 0; halves 1, 2; quarters 3..6; eighths 7..13 */
static int gi_number(const struct mig_profile *p, int start) { return 8 / p->size - 1 + start / p->size; }

/* ---- mode ---- */
API nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned *now, unsigned *pending)
{
    ARG(now);
    ARG(pending);
    CALL(d, READ);
    NEED(g->m->mig[0].name, NVML_ERROR_NOT_SUPPORTED);
    *now = (unsigned)g->mig;
    *pending = (unsigned)g->mig_pending;
    return NVML_SUCCESS;
}
API nvmlDeviceSetMigMode(nvmlDevice_t d, unsigned mode, nvmlReturn_t *status)
{
    ARG(status);
    CALL(d, WRITE | ADMIN);
    NEED(g->m->mig[0].name, NVML_ERROR_NOT_SUPPORTED);
    NEED(mode <= 1, NVML_ERROR_INVALID_ARGUMENT);
    g->mig_pending = (int)mode;
    *status = NVML_SUCCESS;
    if (g->mig != (int)mode) {
        if (busy(g, NONE, NONE) || *g->held_by || any_gi(g))
            *status = NVML_ERROR_IN_USE; /* stays pending */
        else if (g->reset_required)
            *status = NVML_ERROR_RESET_REQUIRED; /* as in a VM: a reboot makes it current */
        else {
            g->mig = (int)mode;
            g->compute_mode = NVML_COMPUTEMODE_DEFAULT;
            if (g->m->arch == NVML_DEVICE_ARCH_AMPERE) settings_reset(g); /* there the change resets the GPU */
        }
    }
    trace("nvmlDeviceSetMigMode.activation", *status);
    return state_save();
}

__attribute__((visibility("default"))) nvmlReturn_t
doubleDeviceReset(nvmlDevice_t d) /* `nvidia-smi --gpu-reset`: what was pending is current, faults are gone */
{
    CALL(d, WRITE | ADMIN | IDENT);
    NEED(!busy(g, NONE, NONE) && !*g->held_by, NVML_ERROR_IN_USE);
    g->mig = g->mig_pending;
    g->reset_required = g->remap_pending = g->retired_pending = 0;
    g->ecc_corrected = g->ecc_uncorrected = 0;
    settings_reset(g);
    *g->fault = 0;
    memset(g->gi, 0, sizeof g->gi);
    capabilities_show(d->gpu);
    return state_save();
}

/* ---- profiles and placements ---- */
#define FILL_GI(o, p)                                                                                                       \
    do {                                                                                                                    \
        (o)->id = (unsigned)(p)->id;                                                                                        \
        (o)->sliceCount = (unsigned)(p)->slices;                                                                            \
        (o)->instanceCount = (unsigned)(p)->count;                                                                          \
        (o)->multiprocessorCount = (unsigned)(p)->sm;                                                                       \
        (o)->copyEngineCount = (unsigned)(p)->copy;                                                                         \
        (o)->decoderCount = (unsigned)(p)->dec;                                                                             \
        (o)->encoderCount = 0;                                                                                              \
        (o)->jpegCount = (unsigned)(p)->jpeg;                                                                               \
        (o)->ofaCount = (unsigned)(p)->ofa;                                                                                 \
        (o)->memorySizeMB = (unsigned)(p)->mem_mib;                                                                         \
    } while (0)
static nvmlReturn_t gi_info_v(const struct mig_profile *p, nvmlGpuInstanceProfileInfo_v2_t *o)
{
    if (o->version == nvmlGpuInstanceProfileInfo_v2) {
        FILL_GI(o, p);
        o->isP2pSupported = 0;
        snprintf(o->name, sizeof o->name, "MIG %s", p->name);
        return NVML_SUCCESS;
    }
    nvmlGpuInstanceProfileInfo_v3_t *o3 = (void *)o;
    if (o->version == nvmlGpuInstanceProfileInfo_v3) {
        FILL_GI(o3, p);
        o3->capabilities = 0;
        snprintf(o3->name, sizeof o3->name, "MIG %s", p->name);
        return NVML_SUCCESS;
    }
    return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
}
#define PROFILE(found)                                                                                                      \
    const struct mig_profile *p = (found);                                                                                  \
    NEED(g->m->mig[0].name, NVML_ERROR_NOT_SUPPORTED);                                                                      \
    NEED(p, NVML_ERROR_NOT_SUPPORTED)
API nvmlDeviceGetGpuInstanceProfileInfo(nvmlDevice_t d, unsigned index, nvmlGpuInstanceProfileInfo_t *o)
{
    ARG(o);
    CALL(d, READ);
    NEED(index < NVML_GPU_INSTANCE_PROFILE_COUNT, NVML_ERROR_INVALID_ARGUMENT);
    PROFILE(profile_by_index(g->m, index));
    FILL_GI(o, p);
    o->isP2pSupported = 0;
    return NVML_SUCCESS;
}
API nvmlDeviceGetGpuInstanceProfileInfoV(nvmlDevice_t d, unsigned index, nvmlGpuInstanceProfileInfo_v2_t *o)
{
    ARG(o);
    CALL(d, READ);
    NEED(index < NVML_GPU_INSTANCE_PROFILE_COUNT, NVML_ERROR_INVALID_ARGUMENT);
    PROFILE(profile_by_index(g->m, index));
    return trace(__func__, gi_info_v(p, o));
}
API nvmlDeviceGetGpuInstanceProfileInfoByIdV(nvmlDevice_t d, unsigned id, nvmlGpuInstanceProfileInfo_v2_t *o)
{
    ARG(o);
    CALL(d, READ);
    PROFILE(profile_by_id(g->m, (int)id));
    return trace(__func__, gi_info_v(p, o));
}
API nvmlDeviceGetGpuInstancePossiblePlacements_v2(nvmlDevice_t d, unsigned id, nvmlGpuInstancePlacement_t *out, unsigned *n)
{
    ARG(n);
    CALL(d, READ);
    PROFILE(profile_by_id(g->m, (int)id));
    *n = 0;
    for (int start = 0; start < 8; start++)
        if (strchr(p->order, '0' + start)) {
            if (out) out[*n] = (nvmlGpuInstancePlacement_t){(unsigned)start, (unsigned)p->size};
            ++*n;
        }
    return NVML_SUCCESS;
}
OLDNAME(nvmlDeviceGetGpuInstancePossiblePlacements, nvmlDeviceGetGpuInstancePossiblePlacements_v2);
API nvmlDeviceGetGpuInstanceRemainingCapacity(nvmlDevice_t d, unsigned id, unsigned *n)
{
    ARG(n);
    CALL(d, ADMIN);
    PROFILE(profile_by_id(g->m, (int)id));
    NEED(g->mig, NVML_ERROR_NOT_SUPPORTED);
    int fit = 0, left = p->count - count_of(g, p->id), end = 0;
    for (int start = 0; start < 8; start++) /* greedy over starts is exact: the starts do not overlap each other */
        if (strchr(p->order, '0' + start) && start >= end && free_at(g, start, p->size)) {
            fit++;
            end = start + p->size;
        }
    *n = (unsigned)(fit < left ? fit : left);
    return NVML_SUCCESS;
}

/* ---- GPU instances ---- */
static nvmlReturn_t create_gi(int gpu, struct gpu *g, const struct mig_profile *p, int start, nvmlGpuInstance_t *out)
{
    if (count_of(g, p->id) >= p->count || !free_at(g, start, p->size)) return NVML_ERROR_INSUFFICIENT_RESOURCES;
    int id = gi_number(p, start);
    g->gi[id] = (struct gi){.used = 1, .profile = p->id, .start = start};
    *out = gi_handle(gpu, id);
    capabilities_show(gpu);
    return state_save();
}
API nvmlDeviceCreateGpuInstanceWithPlacement(nvmlDevice_t d, unsigned id, const nvmlGpuInstancePlacement_t *at,
                                             nvmlGpuInstance_t *out)
{
    ARG(at);
    ARG(out);
    CALL(d, WRITE | ADMIN);
    NEED(g->mig, NVML_ERROR_NOT_SUPPORTED);
    const struct mig_profile *p = profile_by_id(g->m, (int)id);
    NEED(p && at->start < 8 && strchr(p->order, '0' + (int)at->start) && (int)at->size == p->size,
         NVML_ERROR_INVALID_ARGUMENT);
    return trace(__func__, create_gi(d->gpu, g, p, (int)at->start, out));
}
API nvmlDeviceCreateGpuInstance(nvmlDevice_t d, unsigned id, nvmlGpuInstance_t *out)
{
    ARG(out);
    CALL(d, WRITE | ADMIN);
    NEED(g->mig, NVML_ERROR_NOT_SUPPORTED);
    const struct mig_profile *p = profile_by_id(g->m, (int)id);
    NEED(p, NVML_ERROR_INVALID_ARGUMENT);
    for (const char *s = p->order; *s; s++)
        if (free_at(g, *s - '0', p->size)) return trace(__func__, create_gi(d->gpu, g, p, *s - '0', out));
    return trace(__func__, NVML_ERROR_INSUFFICIENT_RESOURCES);
}
/* a call on a GPU instance: the same frame, on its parent */
#define INSTANCE_CALL(h, table, flags)                                                                                      \
    NEED((void *)(h) >= (void *)(table) && (char *)(h) < (char *)(table) + sizeof(table), NVML_ERROR_INVALID_ARGUMENT);     \
    nvmlDevice_t parent = gpu_handle((h)->gpu);                                                                             \
    CALL(parent, flags);                                                                                                    \
    struct gi *i = &g->gi[(h)->gi];                                                                                         \
    NEED(i->used, NVML_ERROR_INVALID_ARGUMENT)
#define GI_CALL(h, flags) INSTANCE_CALL(h, gis, flags)
#define CI_CALL(h, flags)                                                                                                   \
    INSTANCE_CALL(h, cis, flags);                                                                                           \
    struct ci *k = &i->ci[(h)->ci];                                                                                         \
    NEED(k->used, NVML_ERROR_INVALID_ARGUMENT)
API nvmlGpuInstanceDestroy(nvmlGpuInstance_t h)
{
    GI_CALL(h, WRITE | ADMIN);
    for (int k = 0; k < MAX_CI; k++) NEED(!i->ci[k].used, NVML_ERROR_IN_USE);
    NEED(!busy(g, h->gi, NONE), NVML_ERROR_IN_USE);
    memset(i, 0, sizeof *i);
    capabilities_show(h->gpu);
    return state_save();
}
API nvmlDeviceGetGpuInstances(nvmlDevice_t d, unsigned id, nvmlGpuInstance_t *out, unsigned *n)
{
    ARG(out);
    ARG(n);
    CALL(d, ADMIN);
    NEED(g->mig, NVML_ERROR_NOT_SUPPORTED);
    NEED(profile_by_id(g->m, (int)id), NVML_ERROR_INVALID_ARGUMENT);
    *n = 0;
    for (int i = 0; i < MAX_GI; i++)
        if (g->gi[i].used && g->gi[i].profile == (int)id) out[(*n)++] = gi_handle(d->gpu, i);
    return NVML_SUCCESS;
}
API nvmlDeviceGetGpuInstanceById(nvmlDevice_t d, unsigned id, nvmlGpuInstance_t *out)
{
    ARG(out);
    CALL(d, ADMIN);
    NEED(g->mig, NVML_ERROR_NOT_SUPPORTED);
    NEED(id < MAX_GI && g->gi[id].used, NVML_ERROR_NOT_FOUND);
    *out = gi_handle(d->gpu, (int)id);
    return NVML_SUCCESS;
}
API nvmlGpuInstanceGetInfo(nvmlGpuInstance_t h, nvmlGpuInstanceInfo_t *o)
{
    ARG(o);
    GI_CALL(h, READ);
    *o = (nvmlGpuInstanceInfo_t){parent,
                                 (unsigned)h->gi,
                                 (unsigned)i->profile,
                                 {(unsigned)i->start, (unsigned)profile_by_id(g->m, i->profile)->size}};
    return NVML_SUCCESS;
}

/* ---- compute instances ---- */
/* how many slices a compute profile takes of this GPU instance; 0: it has no such profile (3c only in 3g and 7g, 4c in 4g
 * and 7g) */
static int ci_fits(const struct mig_profile *p, unsigned ci_profile)
{
    int n = ci_slices(ci_profile);
    return n > p->slices || (n < p->slices && n * 2 > p->slices + 1) ? 0 : n;
}
static int ci_sm(const struct model *m, const struct mig_profile *p, int slices)
{
    return slices == p->slices ? p->sm : slices * m->mig[0].sm;
}
static int ci_room(const struct mig_profile *p, struct gi *i, int slices,
                   int *starts) /* the starts still free, aligned to 1, 2 or 4 slices */
{
    int taken[8] = {0}, n = 0, step = slices == 3 ? 4 : slices;
    for (int k = 0; k < MAX_CI; k++)
        if (i->ci[k].used)
            for (int s = 0; s < ci_slices((unsigned)i->ci[k].profile); s++) taken[i->ci[k].start + s] = 1;
    for (int start = 0; start + slices <= p->slices; start += step) {
        int ok = 1;
        for (int s = 0; s < slices; s++) ok &= !taken[start + s];
        if (ok) starts[n++] = start;
    }
    return n;
}
static nvmlComputeInstanceProfileInfo_t ci_info(const struct model *m, const struct mig_profile *p, unsigned ci, int slices)
{
    struct gi empty = {0};
    int starts[8];
    return (nvmlComputeInstanceProfileInfo_t){ci,
                                              (unsigned)slices,
                                              (unsigned)ci_room(p, &empty, slices, starts),
                                              (unsigned)ci_sm(m, p, slices),
                                              (unsigned)p->copy,
                                              (unsigned)p->dec,
                                              0,
                                              (unsigned)p->jpeg,
                                              (unsigned)p->ofa};
}
void ci_name(const struct mig_profile *p, int slices, char *name, size_t size)
{
    if (slices == p->slices)
        snprintf(name, size, "MIG %s", p->name);
    else
        snprintf(name, size, "MIG %dc.%s", slices, p->name);
}
#define CI_PROFILE(ci, eng)                                                                                                 \
    const struct mig_profile *p = profile_by_id(g->m, i->profile);                                                          \
    NEED((ci) < NVML_COMPUTE_INSTANCE_PROFILE_COUNT && (eng) == 0, NVML_ERROR_INVALID_ARGUMENT);                            \
    int n = ci_fits(p, (ci));                                                                                               \
    NEED(n, NVML_ERROR_NOT_SUPPORTED)
API nvmlGpuInstanceGetComputeInstanceProfileInfo(nvmlGpuInstance_t h, unsigned ci, unsigned eng,
                                                 nvmlComputeInstanceProfileInfo_t *o)
{
    ARG(o);
    GI_CALL(h, READ);
    CI_PROFILE(ci, eng);
    *o = ci_info(g->m, p, ci, n);
    return NVML_SUCCESS;
}
API nvmlGpuInstanceGetComputeInstanceProfileInfoV(nvmlGpuInstance_t h, unsigned ci, unsigned eng,
                                                  nvmlComputeInstanceProfileInfo_v2_t *o)
{
    ARG(o);
    GI_CALL(h, READ);
    CI_PROFILE(ci, eng);
    NEED(o->version == nvmlComputeInstanceProfileInfo_v2 || o->version == nvmlComputeInstanceProfileInfo_v3,
         NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    nvmlComputeInstanceProfileInfo_t info = ci_info(g->m, p, ci, n);
    memcpy(&o->id, &info, sizeof info); /* v2 is version, v1, name; v3 adds capabilities */
    ci_name(p, n, o->name, sizeof o->name);
    if (o->version == nvmlComputeInstanceProfileInfo_v3) ((nvmlComputeInstanceProfileInfo_v3_t *)o)->capabilities = 0;
    return NVML_SUCCESS;
}
API nvmlGpuInstanceGetComputeInstanceRemainingCapacity(nvmlGpuInstance_t h, unsigned ci, unsigned *left)
{
    ARG(left);
    GI_CALL(h, ADMIN);
    CI_PROFILE(ci, 0u);
    int starts[8];
    *left = (unsigned)ci_room(p, i, n, starts);
    return NVML_SUCCESS;
}
API nvmlGpuInstanceGetComputeInstancePossiblePlacements(nvmlGpuInstance_t h, unsigned ci,
                                                        nvmlComputeInstancePlacement_t *out, unsigned *count)
{
    ARG(count);
    GI_CALL(h, READ);
    CI_PROFILE(ci, 0u);
    struct gi empty = {0};
    int starts[8];
    *count = (unsigned)ci_room(p, &empty, n, starts);
    for (unsigned k = 0; out && k < *count; k++) out[k] = (nvmlComputeInstancePlacement_t){(unsigned)starts[k], (unsigned)n};
    return NVML_SUCCESS;
}
/* MIG UUIDs are the same again when the same instance is made again: a hash of the place, in the shape of a version 5 UUID
 */
static void mig_uuid(const char *gpu_uuid, int gi, int ci, int profile, int start, char *out, size_t size)
{
    unsigned long long h[2] = {0xcbf29ce484222325ull, 0x84222325cbf29ce4ull};
    char text[128];
    snprintf(text, sizeof text, "%s/%d/%d/%d/%d", gpu_uuid, gi, ci, profile, start);
    for (char *s = text; *s; s++)
        for (int k = 0; k < 2; k++) h[k] = (h[k] ^ (unsigned char)(*s + k)) * 0x100000001b3ull;
    snprintf(out, size, "MIG-%08x-%04x-5%03x-%04x-%012llx", (unsigned)(h[0] >> 32), (unsigned)(h[0] >> 16) & 0xFFFFu,
             (unsigned)h[0] & 0xFFFu, 0x8000u | ((unsigned)(h[1] >> 48) & 0x3FFFu), h[1] & 0xFFFFFFFFFFFFull);
}
static nvmlReturn_t create_ci(nvmlGpuInstance_t h, struct gpu *g, struct gi *i, unsigned profile, int start,
                              nvmlComputeInstance_t *out)
{
    int k = 0;
    while (k < MAX_CI && i->ci[k].used) k++;
    if (k == MAX_CI) return NVML_ERROR_INSUFFICIENT_RESOURCES;
    i->ci[k] = (struct ci){.used = 1, .profile = (int)profile, .start = start};
    mig_uuid(g->uuid, h->gi, k, i->profile * 16 + (int)profile, i->start, i->ci[k].uuid, sizeof i->ci[k].uuid);
    *out = ci_handle(h->gpu, h->gi, k);
    capabilities_show(h->gpu);
    return state_save();
}
API nvmlGpuInstanceCreateComputeInstanceWithPlacement(nvmlGpuInstance_t h, unsigned ci,
                                                      const nvmlComputeInstancePlacement_t *at, nvmlComputeInstance_t *out)
{
    ARG(at);
    ARG(out);
    GI_CALL(h, WRITE | ADMIN);
    CI_PROFILE(ci, 0u);
    int starts[8];
    for (int k = 0, room = ci_room(p, i, n, starts); k < room; k++)
        if (starts[k] == (int)at->start && (int)at->size == n)
            return trace(__func__, create_ci(h, g, i, ci, starts[k], out));
    return trace(__func__, NVML_ERROR_INSUFFICIENT_RESOURCES);
}
API nvmlGpuInstanceCreateComputeInstance(nvmlGpuInstance_t h, unsigned ci, nvmlComputeInstance_t *out)
{
    ARG(out);
    GI_CALL(h, WRITE | ADMIN);
    CI_PROFILE(ci, 0u);
    int starts[8];
    NEED(ci_room(p, i, n, starts), NVML_ERROR_INSUFFICIENT_RESOURCES);
    return trace(__func__, create_ci(h, g, i, ci, starts[0], out));
}
API nvmlComputeInstanceDestroy(nvmlComputeInstance_t h)
{
    CI_CALL(h, WRITE | ADMIN);
    NEED(!busy(g, h->gi, h->ci), NVML_ERROR_IN_USE);
    memset(k, 0, sizeof *k);
    capabilities_show(h->gpu);
    return state_save();
}
API nvmlGpuInstanceGetComputeInstances(nvmlGpuInstance_t h, unsigned ci, nvmlComputeInstance_t *out, unsigned *n)
{
    ARG(out);
    ARG(n);
    GI_CALL(h, ADMIN);
    *n = 0;
    for (int k = 0; k < MAX_CI; k++)
        if (i->ci[k].used && i->ci[k].profile == (int)ci) out[(*n)++] = ci_handle(h->gpu, h->gi, k);
    return NVML_SUCCESS;
}
API nvmlGpuInstanceGetComputeInstanceById(nvmlGpuInstance_t h, unsigned id, nvmlComputeInstance_t *out)
{
    ARG(out);
    GI_CALL(h, ADMIN);
    NEED(id < MAX_CI && i->ci[id].used, NVML_ERROR_NOT_FOUND);
    *out = ci_handle(h->gpu, h->gi, (int)id);
    return NVML_SUCCESS;
}
API nvmlComputeInstanceGetInfo_v2(nvmlComputeInstance_t h, nvmlComputeInstanceInfo_t *o)
{
    ARG(o);
    CI_CALL(h, READ);
    *o = (nvmlComputeInstanceInfo_t){parent,
                                     gi_handle(h->gpu, h->gi),
                                     (unsigned)h->ci,
                                     (unsigned)k->profile,
                                     {(unsigned)k->start, (unsigned)ci_slices((unsigned)k->profile)}};
    return NVML_SUCCESS;
}
OLDNAME(nvmlComputeInstanceGetInfo, nvmlComputeInstanceGetInfo_v2);

/* ---- MIG device handles ---- */
API nvmlDeviceIsMigDeviceHandle(nvmlDevice_t d, unsigned *is)
{
    ARG(is);
    CALL(d, IDENT | MIG_OK);
    *is = c.ci != NULL;
    return NVML_SUCCESS;
}
API nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t d, unsigned *n)
{
    ARG(n);
    CALL(d, READ);
    *n = g->m->mig[0].name ? 7 : 0;
    return NVML_SUCCESS;
}
API nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t d, unsigned index, nvmlDevice_t *out)
{
    ARG(out);
    CALL(d, READ);
    unsigned n = 0;
    for (int a = 0; g->mig && a < MAX_GI; a++)
        for (int b = 0; g->gi[a].used && b < MAX_CI; b++)
            if (g->gi[a].ci[b].used && visible(d->gpu, a, b) && n++ == index) {
                *out = mig_handle(d->gpu, a, b);
                return NVML_SUCCESS;
            }
    return trace(__func__, NVML_ERROR_NOT_FOUND);
}
API nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t d, nvmlDevice_t *out)
{
    ARG(out);
    CALL(d, IDENT | MIG_OK);
    NEED(c.ci, NVML_ERROR_INVALID_ARGUMENT);
    *out = gpu_handle(d->gpu);
    return NVML_SUCCESS;
}
API nvmlDeviceGetGpuInstanceId(nvmlDevice_t d, unsigned *id)
{
    ARG(id);
    CALL(d, IDENT | MIG_OK);
    NEED(c.ci, NVML_ERROR_INVALID_ARGUMENT);
    *id = (unsigned)d->gi;
    return NVML_SUCCESS;
}
API nvmlDeviceGetComputeInstanceId(nvmlDevice_t d, unsigned *id)
{
    ARG(id);
    CALL(d, IDENT | MIG_OK);
    NEED(c.ci, NVML_ERROR_INVALID_ARGUMENT);
    *id = (unsigned)d->ci;
    return NVML_SUCCESS;
}
API nvmlDeviceGetAttributes_v2(nvmlDevice_t d, nvmlDeviceAttributes_t *a)
{
    ARG(a);
    CALL(d, MIG_OK);
    NEED(c.ci, NVML_ERROR_INVALID_ARGUMENT);
    const struct mig_profile *p = profile_by_id(g->m, c.gi->profile);
    int n = ci_slices((unsigned)c.ci->profile);
    *a = (nvmlDeviceAttributes_t){(unsigned)ci_sm(g->m, p, n), (unsigned)p->copy, (unsigned)p->dec,    0,
                                  (unsigned)p->jpeg,           (unsigned)p->ofa,  (unsigned)p->slices, (unsigned)n,
                                  (unsigned)p->mem_mib};
    return NVML_SUCCESS;
}
OLDNAME(nvmlDeviceGetAttributes, nvmlDeviceGetAttributes_v2);
