/* GPU models, as published outputs of nvidia-smi show them. What was not read at a source stands in a line marked "not
 * read"; nothing judges by it. -q of an A100-SXM4-40GB (535.129.03), an H200 (550.90.12), a Tesla T4 (530.30.02); thresholds
 * of the A100-80 as the 40's MIG profiles: `nvidia-smi mig -lgip` and -lgipp in NVIDIA's MIG user guide (A100, H100),
 * mig-parted issue 120 (H200) and gpu-operator pull 1242 (B200); the guide's table of B200's profiles gives other numbers of
 * copy engines and decoders. go-nvml's own mock tables use the index as id and leave out the eighth memory slice: no source
 * for placement rules. */
#include "double.h"

/* Seven compute and eight memory slices, cut in one way from A100 to B200. Arguments: names and MiB of a memory slice, of
 * two, of four, of eight; then per profile 1g, 1g double, 2g, 3g, 4g, 7g: SMs, copy engines, decoders, JPEG engines. */
#define MIG7(...) MIG7_(__VA_ARGS__)
#define SIX(a, b, c, d, e, f) a, b, c, d, e, f
#define MIG7_(G1, M1, G2, M2, G4, M4, G8, M8, S1, SD, S2, S3, S4, S7, C1, CD, C2, C3, C4, C7, D1, DD, D2, D3, D4, D7, J1,   \
              JD, J2, J3, J4, J7)                                                                                           \
    {{NVML_GPU_INSTANCE_PROFILE_1_SLICE, 19, "1g." G1, 1, 7, S1, C1, D1, J1, 0, M1, 1, "6450123"},                          \
     {NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV1, 20, "1g." G1 "+me", 1, 1, S1, C1, 1, 1, 1, M1, 1, "6450123"},                 \
     {NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV2, 15, "1g." G2, 1, 4, SD, CD, DD, JD, 0, M2, 2, "6402"},                        \
     {NVML_GPU_INSTANCE_PROFILE_2_SLICE, 14, "2g." G2, 2, 3, S2, C2, D2, J2, 0, M2, 2, "402"},                              \
     {NVML_GPU_INSTANCE_PROFILE_3_SLICE, 9, "3g." G4, 3, 2, S3, C3, D3, J3, 0, M4, 4, "40"},                                \
     {NVML_GPU_INSTANCE_PROFILE_4_SLICE, 5, "4g." G4, 4, 1, S4, C4, D4, J4, 0, M4, 4, "0"},                                 \
     {NVML_GPU_INSTANCE_PROFILE_7_SLICE, 0, "7g." G8, 7, 1, S7, C7, D7, J7, 1, M8, 8, "0"}}
#define A100 SIX(14, 14, 28, 42, 56, 98), SIX(1, 1, 2, 3, 4, 7), SIX(0, 1, 1, 2, 2, 5), SIX(0, 0, 0, 0, 0, 1)
#define HOPPER SIX(16, 26, 32, 60, 64, 132), SIX(1, 1, 2, 3, 4, 8), SIX(1, 1, 2, 3, 4, 7), SIX(1, 1, 2, 3, 4, 7)
/* read: 1g, 1g double and 2g; not read: 3g, 4g, 7g */
#define B200 SIX(18, 30, 36, 70, 72, 148), SIX(2, 2, 4, 6, 8, 16), SIX(1, 1, 2, 3, 4, 7), SIX(1, 1, 2, 3, 4, 7)

/* clang-format off */
static const struct model models[] = {
    {.key = "A100-40GB", .name = "NVIDIA A100-SXM4-40GB", .pci_id = 0x20B010DE, .pci_subsys = 0x134F10DE,
     .arch = NVML_DEVICE_ARCH_AMPERE, .cc_major = 8, .cc_minor = 0, .cores = 6912, .bus_width = 5120,
     .mem_mib = 40960, .reserved_mib = 620, .bar1_mib = 65536, .min_watts = 100, .watts = 400, .pcie_gen = 4,
     .links = 12, .link_version = 3, .link_mbps = 25781,
     .sm_min = 210, .sm_clock = 1410, .mem_clock = 1215,
     .shutdown = 92, .slowdown = 89, .gpu_max = 85, .memory_max = 95, .banks = 640,
     .mig = MIG7("5gb", 4864, "10gb", 9856, "20gb", 19968, "40gb", 40192, A100)},
    {.key = "A100-80GB", .name = "NVIDIA A100-SXM4-80GB", .pci_id = 0x20B210DE, .pci_subsys = 0x147F10DE,
     .arch = NVML_DEVICE_ARCH_AMPERE, .cc_major = 8, .cc_minor = 0, .cores = 6912, .bus_width = 5120,
     .mem_mib = 81920, .reserved_mib = 580, .bar1_mib = 131072, .min_watts = 100, .watts = 400, .pcie_gen = 4,
     .links = 12, .link_version = 3, .link_mbps = 25781,
     .sm_min = 210, .sm_clock = 1410, .mem_clock = 1593,
     .shutdown = 92, .slowdown = 89, .gpu_max = 85, .memory_max = 95, .banks = 640,
     .mig = MIG7("10gb", 9728, "20gb", 19968, "40gb", 40192, "80gb", 80896, A100)},
    {.key = "H100-80GB", .name = "NVIDIA H100 80GB HBM3", .pci_id = 0x233010DE, .pci_subsys = 0x16C110DE,
     .arch = NVML_DEVICE_ARCH_HOPPER, .cc_major = 9, .cc_minor = 0, .cores = 16896, .bus_width = 5120,
     .mem_mib = 81559, .reserved_mib = 580, .bar1_mib = 131072, .min_watts = 200, .watts = 700, .pcie_gen = 5,
     .links = 18, .link_version = 4, .link_mbps = 26562,
     .sm_min = 345, .sm_clock = 1980, .mem_clock = 2619,
     .shutdown = 95, .slowdown = 89, .gpu_max = 87, .memory_max = 95, .banks = 2560, .fabric = 1,
     .mig = MIG7("10gb", 9984, "20gb", 20096, "40gb", 40448, "80gb", 81152, HOPPER)},
    {.key = "H200-141GB", .name = "NVIDIA H200", .pci_id = 0x233510DE, .pci_subsys = 0x18BE10DE,
     .arch = NVML_DEVICE_ARCH_HOPPER, .cc_major = 9, .cc_minor = 0, .cores = 16896, .bus_width = 6144,
     .mem_mib = 143771, .reserved_mib = 700, .bar1_mib = 262144, .min_watts = 200, .watts = 700, .pcie_gen = 5,
     .links = 18, .link_version = 4, .link_mbps = 26562,
     .sm_min = 345, .sm_clock = 1980, .mem_clock = 3201,
     .shutdown = 95, .slowdown = 89, .gpu_max = 87, .memory_max = 95, .banks = 3072, .fabric = 1,
     .mig = MIG7("18gb", 16384, "35gb", 33024, "71gb", 71168, "141gb", 143360, HOPPER)},
    /* not read: bar1_mib, min_watts, sm_min, temperatures, banks; memory of 3g, 4g and 7g */
    {.key = "B200", .name = "NVIDIA B200", .pci_id = 0x290110DE, .pci_subsys = 0x199910DE,
     .arch = NVML_DEVICE_ARCH_BLACKWELL, .cc_major = 10, .cc_minor = 0, .cores = 18944, .bus_width = 7680,
     .mem_mib = 183359, .reserved_mib = 700, .bar1_mib = 262144, .min_watts = 200, .watts = 1000, .pcie_gen = 5,
     .links = 18, .link_version = 5, .link_mbps = 53125,
     .sm_min = 345, .sm_clock = 1965, .mem_clock = 3996,
     .shutdown = 95, .slowdown = 89, .gpu_max = 87, .memory_max = 95, .fabric = 1,
     .mig = MIG7("23gb", 22528, "45gb", 45312, "90gb", 91136, "180gb", 182272, B200)},
    {.key = "L40S", .name = "NVIDIA L40S", .pci_id = 0x26B910DE, .pci_subsys = 0x185110DE,
     .arch = NVML_DEVICE_ARCH_ADA, .cc_major = 8, .cc_minor = 9, .cores = 18176, .bus_width = 384,
     .mem_mib = 46068, .reserved_mib = 580, .bar1_mib = 65536, .min_watts = 100, .watts = 350, .pcie_gen = 4,
     .sm_min = 210, .sm_clock = 2520, .mem_clock = 9001, .mem_low = 405,
     .shutdown = 100, .slowdown = 97, .gpu_max = 92, .banks = 192},
    {.key = "T4", .name = "Tesla T4", .pci_id = 0x1EB810DE, .pci_subsys = 0x12A210DE,
     .arch = NVML_DEVICE_ARCH_TURING, .cc_major = 7, .cc_minor = 5, .cores = 2560, .bus_width = 256,
     .mem_mib = 15360, .reserved_mib = 393, .bar1_mib = 256, .min_watts = 60, .watts = 70, .pcie_gen = 3,
     .sm_min = 300, .sm_clock = 1590, .mem_clock = 5001, .mem_low = 405,
     .shutdown = 96, .slowdown = 93, .gpu_max = 85, .retires = 1},
    {0}};
/* clang-format on */

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
