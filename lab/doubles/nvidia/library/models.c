/* GPU models. MIG profile numbers, memory and placements as `nvidia-smi mig -lgip` / `-lgipp` print them
 * (NVIDIA's MIG user guide). go-nvml's own mock tables differ: they use the index as id and leave out the
 * eighth memory slice, so they are no source for placement rules. H200's memory sizes above 1g are
 * estimates that give the right profile names. */
#include "double.h"

#define MIG7(G1, G1M, G2, G2M, G3, G3M, G7, G7M, S1, SREV2, S2, S3, S4, S7, D1, D2, D3, D4, D7, J1, J2, J3, J4, J7, C7)     \
    {{NVML_GPU_INSTANCE_PROFILE_1_SLICE, 19, "1g." G1, 1, 7, S1, 1, D1, J1, 0, G1M, 1, "6450123"},                          \
     {NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV1, 20, "1g." G1 "+me", 1, 1, S1, 1, 1, 1, 1, G1M, 1, "6450123"},                 \
     {NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV2, 15, "1g." G2, 1, 4, SREV2, 1, 1, J1, 0, G2M, 2, "6402"},                      \
     {NVML_GPU_INSTANCE_PROFILE_2_SLICE, 14, "2g." G2, 2, 3, S2, 2, D2, J2, 0, G2M, 2, "402"},                              \
     {NVML_GPU_INSTANCE_PROFILE_3_SLICE, 9, "3g." G3, 3, 2, S3, 3, D3, J3, 0, G3M, 4, "40"},                                \
     {NVML_GPU_INSTANCE_PROFILE_4_SLICE, 5, "4g." G3, 4, 1, S4, 4, D4, J4, 0, G3M, 4, "0"},                                 \
     {NVML_GPU_INSTANCE_PROFILE_7_SLICE, 0, "7g." G7, 7, 1, S7, C7, D7, J7, 1, G7M, 8, "0"}}

static const struct model models[] = {{"A100-80GB", "NVIDIA A100-SXM4-80GB", NVML_DEVICE_ARCH_AMPERE, 8, 0, 81920, 6912,
                                       5120, 400, 12, 3, 25781, 4, 1410, 1593, 92, 0x20B210DE, 0x147F10DE,
                                       MIG7("10gb", 9728, "20gb", 19968, "40gb", 40192, "80gb", 80896, 14, 14, 28, 42, 56,
                                            98, 0, 1, 2, 2, 5, 0, 0, 0, 0, 1, 7)},
                                      {"H100-80GB", "NVIDIA H100 80GB HBM3", NVML_DEVICE_ARCH_HOPPER, 9, 0, 81559, 16896,
                                       5120, 700, 18, 4, 26562, 5, 1980, 2619, 87, 0x233010DE, 0x16C110DE,
                                       MIG7("10gb", 9984, "20gb", 20096, "40gb", 40448, "80gb", 81152, 16, 26, 32, 60, 64,
                                            132, 1, 2, 3, 4, 7, 1, 2, 3, 4, 7, 8)},
                                      {"H200-141GB", "NVIDIA H200", NVML_DEVICE_ARCH_HOPPER, 9, 0, 143771, 16896, 6144, 700,
                                       18, 4, 26562, 5, 1980, 3201, 87, 0x233510DE, 0x18BE10DE,
                                       MIG7("18gb", 16384, "35gb", 33280, "71gb", 71168, "141gb", 143360, 16, 26, 32, 60, 64,
                                            132, 1, 2, 3, 4, 7, 1, 2, 3, 4, 7, 8)},
                                      {"L40S",
                                       "NVIDIA L40S",
                                       NVML_DEVICE_ARCH_ADA,
                                       8,
                                       9,
                                       46068,
                                       18176,
                                       384,
                                       350,
                                       0,
                                       0,
                                       0,
                                       4,
                                       2520,
                                       9001,
                                       92,
                                       0x26B910DE,
                                       0x185110DE,
                                       {{0}}},
                                      {0}};

const struct model *find_model(const char *key)
{
    for (const struct model *m = models; m->key; m++)
        if (!strcmp(m->key, key)) return m;
    return NULL;
}
const struct mig_profile *profile_by_id(const struct model *m, int id)
{
    for (const struct mig_profile *p = m->mig; p->name; p++)
        if (p->id == id) return p;
    return NULL;
}
const struct mig_profile *profile_by_index(const struct model *m, unsigned index)
{
    for (const struct mig_profile *p = m->mig; p->name; p++)
        if (p->index == (int)index) return p;
    return NULL;
}
int ci_slices(unsigned ci_profile)
{
    static const int slices[] = {1, 2, 3, 4, 7};
    return ci_profile < 5 ? slices[ci_profile] : 0;
}
