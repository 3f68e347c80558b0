/* nvidia-smi's double: what its parts share. It asks NVML for everything, as the real one does. */
#pragma once
#include <nvml.h>

/* clang-format off */
#define CALLS(X) \
    X(nvmlInit_v2) \
    X(nvmlErrorString) \
    X(nvmlSystemGetDriverVersion) \
    X(nvmlSystemGetNVMLVersion) \
    X(nvmlSystemGetCudaDriverVersion_v2) \
    X(nvmlSystemGetProcessName) \
    X(nvmlDeviceGetCount_v2) \
    X(nvmlDeviceGetHandleByIndex_v2) \
    X(nvmlDeviceGetHandleByUUID) \
    X(nvmlDeviceGetHandleByPciBusId_v2) \
    X(nvmlDeviceGetIndex) \
    X(nvmlDeviceGetName) \
    X(nvmlDeviceGetUUID) \
    X(nvmlDeviceGetSerial) \
    X(nvmlDeviceGetVbiosVersion) \
    X(nvmlDeviceGetPciInfo_v3) \
    X(nvmlDeviceGetMinorNumber) \
    X(nvmlDeviceGetMemoryInfo) \
    X(nvmlDeviceGetUtilizationRates) \
    X(nvmlDeviceGetTemperature) \
    X(nvmlDeviceGetPowerUsage) \
    X(nvmlDeviceGetPowerManagementLimit) \
    X(nvmlDeviceSetPowerManagementLimit) \
    X(nvmlDeviceGetPerformanceState) \
    X(nvmlDeviceGetPersistenceMode) \
    X(nvmlDeviceSetPersistenceMode) \
    X(nvmlDeviceGetClockInfo) \
    X(nvmlDeviceGetEccMode) \
    X(nvmlDeviceGetTotalEccErrors) \
    X(nvmlDeviceGetCurrPcieLinkGeneration) \
    X(nvmlDeviceGetMaxPcieLinkGeneration) \
    X(nvmlDeviceGetCurrPcieLinkWidth) \
    X(nvmlDeviceGetMaxPcieLinkWidth) \
    X(nvmlDeviceGetCudaComputeCapability) \
    X(nvmlDeviceGetRemappedRows) \
    X(nvmlDeviceGetComputeRunningProcesses_v3) \
    X(nvmlDeviceGetMigMode) \
    X(nvmlDeviceSetMigMode) \
    X(nvmlDeviceGetMaxMigDeviceCount) \
    X(nvmlDeviceGetMigDeviceHandleByIndex) \
    X(nvmlDeviceGetGpuInstanceProfileInfoV) \
    X(nvmlDeviceGetGpuInstanceRemainingCapacity) \
    X(nvmlDeviceGetGpuInstances) \
    X(nvmlDeviceGetGpuInstanceById) \
    X(nvmlDeviceCreateGpuInstance) \
    X(nvmlGpuInstanceDestroy) \
    X(nvmlGpuInstanceGetInfo) \
    X(nvmlGpuInstanceGetComputeInstanceProfileInfoV) \
    X(nvmlGpuInstanceCreateComputeInstance) \
    X(nvmlGpuInstanceGetComputeInstances) \
    X(nvmlComputeInstanceDestroy) \
    X(nvmlComputeInstanceGetInfo_v2) \
    X(nvmlDeviceGetPowerManagementDefaultLimit) \
    X(nvmlDeviceGetPowerManagementLimitConstraints) \
    X(nvmlDeviceGetComputeMode) \
    X(nvmlDeviceSetComputeMode) \
    X(nvmlDeviceSetEccMode) \
    X(nvmlDeviceGetMaxClockInfo) \
    X(nvmlDeviceSetGpuLockedClocks) \
    X(nvmlDeviceResetGpuLockedClocks) \
    X(nvmlDeviceSetMemoryLockedClocks) \
    X(nvmlDeviceResetMemoryLockedClocks) \
    X(nvmlDeviceGetTopologyCommonAncestor) \
    X(nvmlDeviceGetNvLinkState) \
    X(nvmlDeviceGetFieldValues)
/* clang-format on */
#define DECLARE(name) __typeof(&name) name;
struct calls {
    CALLS(DECLARE)
    nvmlReturn_t (*doubleDeviceReset)(nvmlDevice_t); /* the real nvidia-smi uses private calls of the library */
};
extern struct calls nvml;

/* which GPUs a command is about */
struct selection {
    nvmlDevice_t device[16];
    nvmlReturn_t rc[16]; /* of a GPU that gives no handle */
    unsigned index[16], count;
};
int fail(nvmlReturn_t rc, const char *what, ...); /* says so, and gives nvidia-smi's exit status */
int mig_command(int count, char **words);
int topology_command(int count, char **words);
int nvlink_command(int count, char **words);
int select_gpus(const char *which, struct selection *found);
