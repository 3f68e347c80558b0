/* A stand-in for libcuda.so.1: cuInit and the version answer, nothing else is there. cuInit is what tells a working driver
 * from one that NVML alone finds well: 100 no device, 802 no fabric manager, 999 a broken one.
 * https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html */
#include <dlfcn.h>
#include <stddef.h>

enum { CUDA_SUCCESS = 0, CUDA_ERROR_NOT_INITIALIZED = 3, CUDA_ERROR_NO_DEVICE = 100, CUDA_ERROR_INVALID_VALUE = 1 };
#define PUBLIC __attribute__((visibility("default")))
static int count = -1;

static int look(void) /* cuInit's answer, and how many GPUs there are */
{
    void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    int (*state)(void) = nvml ? (int (*)(void))dlsym(nvml, "doubleCudaState") : NULL;
    int rc = state ? state() : -CUDA_ERROR_NO_DEVICE;
    count = rc > 0 ? rc : 0;
    return rc > 0 ? CUDA_SUCCESS : -rc;
}

PUBLIC int cuInit(unsigned flags) { return flags ? CUDA_ERROR_INVALID_VALUE : look(); }
PUBLIC int cuDriverGetVersion(int *version)
{
    if (!version) return CUDA_ERROR_INVALID_VALUE;
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}
PUBLIC int cuDeviceGetCount(int *n)
{
    if (count < 0) return CUDA_ERROR_NOT_INITIALIZED;
    *n = count;
    return CUDA_SUCCESS;
}
