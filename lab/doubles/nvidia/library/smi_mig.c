/* nvidia-smi mig: list, create and destroy GPU and compute instances. */
#include "smi.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_INSTANCE = 16, PROFILES = 5 };
struct wish {
    const char *which, *gpu_instance, *profiles;
    int with_compute;
};
typedef int verb(nvmlDevice_t gpu, unsigned index, const struct wish *w);

static nvmlReturn_t profile_at(nvmlDevice_t gpu, unsigned place, nvmlGpuInstanceProfileInfo_v2_t *info)
{
    *info = (nvmlGpuInstanceProfileInfo_v2_t){.version = nvmlGpuInstanceProfileInfo_v2};
    return nvml.nvmlDeviceGetGpuInstanceProfileInfoV(gpu, place, info);
}

static unsigned gpu_instances(nvmlDevice_t gpu, unsigned profile, nvmlGpuInstance_t *list)
{
    unsigned count = MAX_INSTANCE;
    return nvml.nvmlDeviceGetGpuInstances(gpu, profile, list, &count) ? 0 : count;
}

/* ---- on each GPU instance, on each compute instance ---- */
typedef int on_instance(nvmlGpuInstance_t gi, unsigned index, const nvmlGpuInstanceProfileInfo_v2_t *profile);

static int each_instance(nvmlDevice_t gpu, unsigned index, const char *wanted, on_instance *act, unsigned *seen)
{
    nvmlGpuInstanceProfileInfo_v2_t profile;
    int status = 0;
    for (unsigned place = 0; place < NVML_GPU_INSTANCE_PROFILE_COUNT; place++) {
        nvmlGpuInstance_t list[MAX_INSTANCE];
        if (profile_at(gpu, place, &profile)) continue;
        for (unsigned k = 0, count = gpu_instances(gpu, profile.id, list); k < count && !status; k++) {
            nvmlGpuInstanceInfo_t info;
            nvml.nvmlGpuInstanceGetInfo(list[k], &info);
            if (wanted && (unsigned)atoi(wanted) != info.id) continue;
            status = act(list[k], index, &profile);
            ++*seen;
        }
    }
    return status;
}

static unsigned compute_instances(nvmlGpuInstance_t gi, unsigned profile, nvmlComputeInstance_t *list)
{
    unsigned count = MAX_INSTANCE;
    return nvml.nvmlGpuInstanceGetComputeInstances(gi, profile, list, &count) ? 0 : count;
}

static int show_gi(nvmlGpuInstance_t gi, unsigned index, const nvmlGpuInstanceProfileInfo_v2_t *profile)
{
    nvmlGpuInstanceInfo_t info;
    nvml.nvmlGpuInstanceGetInfo(gi, &info);
    printf("| %3u  %-16s %4u %10u %12u:%-10u |\n", index, profile->name, info.profileId, info.id, info.placement.start,
           info.placement.size);
    return 0;
}

static int show_ci(nvmlGpuInstance_t gi, unsigned index, const nvmlGpuInstanceProfileInfo_v2_t *profile)
{
    nvmlGpuInstanceInfo_t parent;
    (void)profile;
    nvml.nvmlGpuInstanceGetInfo(gi, &parent);
    for (unsigned p = 0; p < PROFILES; p++) {
        nvmlComputeInstance_t list[MAX_INSTANCE];
        nvmlComputeInstanceProfileInfo_v2_t kind = {.version = nvmlComputeInstanceProfileInfo_v2};
        if (nvml.nvmlGpuInstanceGetComputeInstanceProfileInfoV(gi, p, 0, &kind)) continue;
        for (unsigned k = 0, count = compute_instances(gi, p, list); k < count; k++) {
            nvmlComputeInstanceInfo_t info;
            nvml.nvmlComputeInstanceGetInfo_v2(list[k], &info);
            printf("| %3u %10u  %-18s %4u %10u %8u:%-6u |\n", index, parent.id, kind.name, p, info.id, info.placement.start,
                   info.placement.size);
        }
    }
    return 0;
}

static int destroy_gi(nvmlGpuInstance_t gi, unsigned index, const nvmlGpuInstanceProfileInfo_v2_t *profile)
{
    nvmlGpuInstanceInfo_t info;
    (void)profile;
    nvml.nvmlGpuInstanceGetInfo(gi, &info);
    nvmlReturn_t rc = nvml.nvmlGpuInstanceDestroy(gi);
    if (rc) return fail(rc, "Unable to destroy GPU instance ID %2u from GPU %2u", info.id, index);
    printf("Successfully destroyed GPU instance ID %2u from GPU %2u\n", info.id, index);
    return 0;
}

static int destroy_cis(nvmlGpuInstance_t gi, unsigned index, const nvmlGpuInstanceProfileInfo_v2_t *profile)
{
    (void)profile;
    for (unsigned p = 0; p < PROFILES; p++) {
        nvmlComputeInstance_t list[MAX_INSTANCE];
        for (unsigned k = 0, count = compute_instances(gi, p, list); k < count; k++) {
            nvmlReturn_t rc = nvml.nvmlComputeInstanceDestroy(list[k]);
            if (rc) return fail(rc, "Unable to destroy a compute instance from GPU %2u", index);
            printf("Successfully destroyed compute instance from GPU %2u\n", index);
        }
    }
    return 0;
}

static int create_ci(nvmlGpuInstance_t gi, unsigned index,
                     const nvmlGpuInstanceProfileInfo_v2_t *profile) /* as large as gi */
{
    for (unsigned p = 0; p < PROFILES; p++) {
        nvmlComputeInstanceProfileInfo_v2_t kind = {.version = nvmlComputeInstanceProfileInfo_v2};
        nvmlComputeInstance_t made;
        if (nvml.nvmlGpuInstanceGetComputeInstanceProfileInfoV(gi, p, 0, &kind) || kind.sliceCount != profile->sliceCount)
            continue;
        nvmlReturn_t rc = nvml.nvmlGpuInstanceCreateComputeInstance(gi, p, &made);
        if (rc) return fail(rc, "Unable to create a compute instance on GPU %2u", index);
        printf("Successfully created compute instance on GPU %2u using profile %s (ID %2u)\n", index, kind.name, p);
        return 0;
    }
    return NVML_ERROR_NOT_SUPPORTED;
}

/* ---- the verbs ---- */
static int on_instances(nvmlDevice_t gpu, unsigned index, const struct wish *w, on_instance *act)
{
    unsigned seen = 0;
    int status = each_instance(gpu, index, w->gpu_instance, act, &seen);
    if (status || seen) return status;
    printf("No GPU instances found: Not Found\n");
    return NVML_ERROR_NOT_FOUND;
}
static int list_gi(nvmlDevice_t gpu, unsigned index, const struct wish *w) { return on_instances(gpu, index, w, show_gi); }
static int list_ci(nvmlDevice_t gpu, unsigned index, const struct wish *w) { return on_instances(gpu, index, w, show_ci); }
static int remove_gi(nvmlDevice_t gpu, unsigned index, const struct wish *w)
{
    return on_instances(gpu, index, w, destroy_gi);
}
static int remove_ci(nvmlDevice_t gpu, unsigned index, const struct wish *w)
{
    return on_instances(gpu, index, w, destroy_cis);
}
static int make_ci(nvmlDevice_t gpu, unsigned index, const struct wish *w) { return on_instances(gpu, index, w, create_ci); }

static int list_profiles(nvmlDevice_t gpu, unsigned index, const struct wish *w)
{
    nvmlGpuInstanceProfileInfo_v2_t p;
    (void)w;
    for (unsigned place = 0; place < NVML_GPU_INSTANCE_PROFILE_COUNT; place++) {
        unsigned left = 0;
        if (profile_at(gpu, place, &p)) continue;
        nvml.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, p.id, &left);
        printf("| %3u  %-16s %4u %5u/%-5u %8.2f %6s %6u %5u %5u |\n", index, p.name, p.id, left, p.instanceCount,
               (double)p.memorySizeMB / 1024, p.isP2pSupported ? "Yes" : "No", p.multiprocessorCount, p.decoderCount,
               p.encoderCount);
    }
    return 0;
}

static int find_profile(nvmlDevice_t gpu, const char *name, nvmlGpuInstanceProfileInfo_v2_t *p) /* by number or name */
{
    for (unsigned place = 0; place < NVML_GPU_INSTANCE_PROFILE_COUNT; place++) {
        if (profile_at(gpu, place, p)) continue;
        const char *bare = p->name + strlen("MIG ");
        if (!strcmp(name, bare) || !strcmp(name, p->name) ||
            (strspn(name, "0123456789") == strlen(name) && p->id == (unsigned)atoi(name)))
            return 1;
    }
    return 0;
}

static int make_one(nvmlDevice_t gpu, unsigned index, const char *name, int with_compute)
{
    nvmlGpuInstanceProfileInfo_v2_t p;
    nvmlGpuInstance_t made;
    nvmlGpuInstanceInfo_t info;
    if (!find_profile(gpu, name, &p)) return fail(NVML_ERROR_NOT_FOUND, "Unable to find profile %s", name);
    nvmlReturn_t rc = nvml.nvmlDeviceCreateGpuInstance(gpu, p.id, &made);
    if (rc) return fail(rc, "Unable to create a GPU instance on GPU %2u using profile %s", index, name);
    nvml.nvmlGpuInstanceGetInfo(made, &info);
    printf("Successfully created GPU instance ID %2u on GPU %2u using profile %s (ID %2u)\n", info.id, index, p.name, p.id);
    return with_compute ? create_ci(made, index, &p) : 0;
}

static int make_gi(nvmlDevice_t gpu, unsigned index, const struct wish *w)
{
    char list[256], *save;
    int status = 0;
    snprintf(list, sizeof list, "%s", w->profiles);
    for (char *name = strtok_r(list, ",", &save); name && !status; name = strtok_r(NULL, ",", &save))
        status = make_one(gpu, index, name, w->with_compute);
    return status;
}

/* ---- the command line ---- */
static verb *parse(int count, char **words, struct wish *w)
{
    verb *found = NULL;
    for (int k = 1; k < count; k++) {
        const char *word = words[k], *next = k + 1 < count ? words[k + 1] : "";
        if (!strcmp(word, "-i"))
            w->which = next, k++;
        else if (!strcmp(word, "-gi"))
            w->gpu_instance = next, k++;
        else if (!strcmp(word, "-cgi"))
            found = make_gi, w->profiles = next, k++;
        else if (!strcmp(word, "-C"))
            w->with_compute = 1;
        else if (!strcmp(word, "-cci"))
            found = make_ci;
        else if (!strcmp(word, "-lgip"))
            found = list_profiles;
        else if (!strcmp(word, "-lgi"))
            found = list_gi;
        else if (!strcmp(word, "-lci"))
            found = list_ci;
        else if (!strcmp(word, "-dgi"))
            found = remove_gi;
        else if (!strcmp(word, "-dci"))
            found = remove_ci;
        else
            return NULL;
    }
    return found;
}

static void head(verb *v)
{
    if (v == list_profiles) printf("| GPU  Name               ID  Free/Total   Memory    P2P     SM   DEC   ENC |\n");
    if (v == list_gi) printf("| GPU  Name          Profile   Instance      Placement         |\n");
    if (v == list_ci) printf("| GPU  GPU inst.  Name           Profile   Instance   Placement     |\n");
}

int mig_command(int count, char **words)
{
    struct wish w = {0};
    struct selection s;
    verb *act = parse(count, words, &w);
    if (!act) return fail(NVML_ERROR_INVALID_ARGUMENT, "nvidia-smi mig");
    int status = select_gpus(w.which, &s), done = 0;
    if (!status) head(act);
    for (unsigned i = 0; !status && i < s.count; i++) {
        unsigned mode = 0, pending = 0;
        if (s.rc[i] || nvml.nvmlDeviceGetMigMode(s.device[i], &mode, &pending) || !mode) continue;
        status = act(s.device[i], s.index[i], &w);
        done = 1;
    }
    if (status || done) return status;
    printf("No MIG-enabled devices found.\n");
    return NVML_ERROR_NOT_FOUND;
}
