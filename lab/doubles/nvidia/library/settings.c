/* What an administrator sets. The state file keeps it; the driver forgets all of it but ECC's mode when it loads
 * (module/nvidia.py) and when the GPU is reset. What nvml.h says of each function is the source. */
#include "double.h"

#define UNLIMITED NVML_CLOCK_LIMIT_ID_UNLIMITED
#define ROOT (WRITE | ADMIN)

void settings_reset(struct gpu *g)
{
    g->power_limit_mw = g->compute_mode = 0;
    g->lock_gpu_min = g->lock_gpu_max = g->lock_mem_min = g->lock_mem_max = 0;
    if (g->ecc_pending != NONE) g->ecc = g->ecc_pending;
    g->ecc_pending = NONE;
}

/* ---- persistence mode and compute mode ---- */
GET(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, g->persistence)
API nvmlDeviceSetPersistenceMode(nvmlDevice_t d, nvmlEnableState_t on)
{
    CALL(d, ROOT);
    NEED(on == NVML_FEATURE_ENABLED || on == NVML_FEATURE_DISABLED, NVML_ERROR_INVALID_ARGUMENT);
    g->persistence = (int)on;
    return state_save();
}
GETF(nvmlDeviceGetComputeMode, MIG_OK, nvmlComputeMode_t, g->compute_mode)
API nvmlDeviceSetComputeMode(nvmlDevice_t d, nvmlComputeMode_t mode)
{
    CALL(d, ROOT);
    NEED(mode < NVML_COMPUTEMODE_COUNT && mode != NVML_COMPUTEMODE_EXCLUSIVE_THREAD, NVML_ERROR_INVALID_ARGUMENT);
    NEED(!g->mig, NVML_ERROR_NOT_SUPPORTED);
    g->compute_mode = (int)mode;
    return state_save();
}

/* ---- power ---- */
#define LIMIT(g) ((unsigned)((g)->power_limit_mw ? (g)->power_limit_mw : (g)->m->watts * 1000))
GET(nvmlDeviceGetPowerUsage, unsigned, g->power_w * 1000)
GET(nvmlDeviceGetPowerManagementLimit, unsigned, LIMIT(g))
GET(nvmlDeviceGetEnforcedPowerLimit, unsigned, LIMIT(g))
GET(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, g->m->watts * 1000)
GET(nvmlDeviceGetPowerManagementMode, nvmlEnableState_t, NVML_FEATURE_ENABLED)
API nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t d, unsigned *min, unsigned *max)
{
    ARG(min);
    ARG(max);
    CALL(d, READ);
    *min = (unsigned)g->m->min_watts * 1000;
    *max = (unsigned)g->m->watts * 1000;
    return NVML_SUCCESS;
}
API nvmlDeviceSetPowerManagementLimit(nvmlDevice_t d, unsigned milliwatts)
{
    CALL(d, ROOT);
    NEED(milliwatts >= (unsigned)g->m->min_watts * 1000 && milliwatts <= (unsigned)g->m->watts * 1000,
         NVML_ERROR_INVALID_ARGUMENT);
    g->power_limit_mw = (int)milliwatts;
    return state_save();
}

/* ---- clocks: what can be had, and locks, which no function of NVML reads back ---- */
enum { STEP = 15, LOW_END = 420 }; /* MHz between graphics clocks; the highest one beside the idle clock of the memory */

int clamped(int mhz, int min, int max) { return !max ? mhz : mhz < min ? min : mhz > max ? max : mhz; }

static nvmlReturn_t give(unsigned *count, unsigned *out, unsigned n) /* the size query, and what did not fit */
{
    unsigned room = *count;
    *count = n;
    return room < n || !out ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}
API nvmlDeviceGetSupportedMemoryClocks(nvmlDevice_t d, unsigned *count, unsigned *mhz)
{
    ARG(count);
    CALL(d, READ);
    nvmlReturn_t rc = give(count, mhz, g->m->mem_low ? 2 : 1);
    NEED(rc == NVML_SUCCESS, rc);
    mhz[0] = (unsigned)g->m->mem_clock;
    if (g->m->mem_low) mhz[1] = (unsigned)g->m->mem_low;
    return NVML_SUCCESS;
}
API nvmlDeviceGetSupportedGraphicsClocks(nvmlDevice_t d, unsigned memory, unsigned *count, unsigned *mhz)
{
    ARG(count);
    CALL(d, READ);
    NEED(memory && (memory == (unsigned)g->m->mem_clock || memory == (unsigned)g->m->mem_low), NVML_ERROR_NOT_FOUND);
    unsigned top = memory == (unsigned)g->m->mem_clock ? (unsigned)g->m->sm_clock : LOW_END;
    unsigned n = (top - (unsigned)g->m->sm_min) / STEP + 1;
    nvmlReturn_t rc = give(count, mhz, n);
    NEED(rc == NVML_SUCCESS, rc);
    for (unsigned k = 0; k < n; k++) mhz[k] = top - k * STEP;
    return NVML_SUCCESS;
}

static int within(unsigned min, unsigned max, int low, int high)
{
    return min <= max && min >= (unsigned)low && max <= (unsigned)high;
}
API nvmlDeviceSetGpuLockedClocks(nvmlDevice_t d, unsigned min, unsigned max)
{
    CALL(d, ROOT);
    if (min == UNLIMITED && max == UNLIMITED) min = max = 0;
    NEED(!max || within(min, max, g->m->sm_min, g->m->sm_clock), NVML_ERROR_INVALID_ARGUMENT);
    g->lock_gpu_min = (int)min;
    g->lock_gpu_max = (int)max;
    return state_save();
}
API nvmlDeviceResetGpuLockedClocks(nvmlDevice_t d)
{
    CALL(d, ROOT);
    g->lock_gpu_min = g->lock_gpu_max = 0;
    return state_save();
}
API nvmlDeviceSetMemoryLockedClocks(nvmlDevice_t d, unsigned min, unsigned max)
{
    CALL(d, ROOT);
    NEED(g->m->arch >= NVML_DEVICE_ARCH_AMPERE, NVML_ERROR_NOT_SUPPORTED);
    NEED(within(min, max, g->m->mem_low ? g->m->mem_low : g->m->mem_clock, g->m->mem_clock), NVML_ERROR_INVALID_ARGUMENT);
    g->lock_mem_min = (int)min;
    g->lock_mem_max = (int)max;
    return state_save();
}
API nvmlDeviceResetMemoryLockedClocks(nvmlDevice_t d)
{
    CALL(d, ROOT);
    NEED(g->m->arch >= NVML_DEVICE_ARCH_AMPERE, NVML_ERROR_NOT_SUPPORTED);
    g->lock_mem_min = g->lock_mem_max = 0;
    return state_save();
}

/* ---- ECC ---- */
API nvmlDeviceGetEccMode(nvmlDevice_t d, nvmlEnableState_t *now, nvmlEnableState_t *next)
{
    ARG(now);
    ARG(next);
    CALL(d, READ);
    NEED(g->ecc != NONE, NVML_ERROR_NOT_SUPPORTED);
    *now = (nvmlEnableState_t)g->ecc;
    *next = (nvmlEnableState_t)(g->ecc_pending == NONE ? g->ecc : g->ecc_pending);
    return NVML_SUCCESS;
}
API nvmlDeviceGetDefaultEccMode(nvmlDevice_t d, nvmlEnableState_t *mode)
{
    ARG(mode);
    CALL(d, READ);
    NEED(g->ecc != NONE, NVML_ERROR_NOT_SUPPORTED);
    *mode = NVML_FEATURE_ENABLED;
    return NVML_SUCCESS;
}
API nvmlDeviceSetEccMode(nvmlDevice_t d, nvmlEnableState_t mode)
{
    CALL(d, ROOT);
    NEED(g->ecc != NONE, NVML_ERROR_NOT_SUPPORTED);
    NEED(mode == NVML_FEATURE_ENABLED || mode == NVML_FEATURE_DISABLED, NVML_ERROR_INVALID_ARGUMENT);
    g->ecc_pending = (int)mode == g->ecc ? NONE : (int)mode;
    return state_save();
}
