/* nvidia-smi topo -m and nvidia-smi nvlink -s: how GPUs are connected. */
#include "smi.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINKS = NVML_NVLINK_MAX_LINKS };

static unsigned active_links(nvmlDevice_t d)
{
    unsigned active = 0;
    nvmlEnableState_t on;
    for (unsigned link = 0; link < MAX_LINKS; link++)
        active += nvml.nvmlDeviceGetNvLinkState(d, link, &on) == NVML_SUCCESS && on == NVML_FEATURE_ENABLED;
    return active;
}

static void cell(nvmlDevice_t a, nvmlDevice_t b, char *out) /* links first: every one goes to a switch that all share */
{
    unsigned of_a = active_links(a), of_b = active_links(b);
    nvmlGpuTopologyLevel_t level = NVML_TOPOLOGY_SYSTEM;
    if (of_a && of_b) {
        sprintf(out, "NV%u", of_a < of_b ? of_a : of_b);
        return;
    }
    if (nvml.nvmlDeviceGetTopologyCommonAncestor(a, b, &level)) level = NVML_TOPOLOGY_SYSTEM;
    strcpy(out, level >= NVML_TOPOLOGY_SYSTEM       ? "SYS"
                : level >= NVML_TOPOLOGY_NODE       ? "NODE"
                : level >= NVML_TOPOLOGY_HOSTBRIDGE ? "PHB"
                : level >= NVML_TOPOLOGY_MULTIPLE   ? "PXB"
                                                    : "PIX");
}

int topology_command(int count, char **words)
{
    struct selection s;
    if (count < 2 || (strcmp(words[1], "-m") && strcmp(words[1], "--matrix"))) {
        printf("Usage: nvidia-smi topo -m\n");
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    int status = select_gpus(NULL, &s);
    for (unsigned i = 0; !status && i < s.count; i++) printf("\tGPU%u", i);
    if (!status) printf("\n");
    for (unsigned i = 0; !status && i < s.count; i++) {
        printf("GPU%u", i);
        for (unsigned k = 0; k < s.count; k++) {
            char text[16] = " X ";
            if (i != k) cell(s.device[i], s.device[k], text);
            printf("\t%s", text);
        }
        printf("\n");
    }
    return status;
}

static void links_of(nvmlDevice_t d)
{
    for (unsigned link = 0; link < MAX_LINKS; link++) {
        nvmlEnableState_t on;
        nvmlFieldValue_t speed = {.fieldId = NVML_FI_DEV_NVLINK_GET_SPEED, .scopeId = link};
        if (nvml.nvmlDeviceGetNvLinkState(d, link, &on)) return;
        nvml.nvmlDeviceGetFieldValues(d, 1, &speed);
        if (on == NVML_FEATURE_ENABLED)
            printf("\t Link %u: %.3f GB/s\n", link, speed.value.uiVal / 1000.0);
        else
            printf("\t Link %u: <inactive>\n", link);
    }
}

int nvlink_command(int count, char **words)
{
    struct selection s;
    const char *which = count > 3 && !strcmp(words[2], "-i") ? words[3] : NULL;
    if (count < 2 || (strcmp(words[1], "-s") && strcmp(words[1], "--status"))) {
        printf("Usage: nvidia-smi nvlink -s [-i GPU]\n");
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    int status = select_gpus(which, &s);
    for (unsigned i = 0; !status && i < s.count; i++) {
        char name[96] = "", uuid[96] = "";
        if (s.rc[i]) continue;
        nvml.nvmlDeviceGetName(s.device[i], name, sizeof name);
        nvml.nvmlDeviceGetUUID(s.device[i], uuid, sizeof uuid);
        printf("GPU %u: %s (UUID: %s)\n", s.index[i], name, uuid);
        links_of(s.device[i]);
    }
    return status;
}
