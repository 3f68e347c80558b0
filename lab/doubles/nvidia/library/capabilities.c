/* MIG's access rights are device nodes: /proc/driver/nvidia/capabilities names each one's minor number, /dev/nvidia-caps
 * holds the nodes. On a real host the kernel module writes the one and nvidia-modprobe the other, both at the very call that
 * makes an instance. https://docs.nvidia.com/datacenter/tesla/mig-user-guide/#device-nodes-and-capabilities */
#include "double.h"
#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CAPABILITIES "/proc/driver/nvidia/capabilities"
#define NODES "/dev/nvidia-caps"
enum { CAPS_MAJOR = 511, PER_GPU = 135, PER_INSTANCE = 9, FIRST = 3 };

int capability_minor(int gpu_minor, int gi, int ci)
{
    return FIRST + gpu_minor * PER_GPU + gi * PER_INSTANCE + (ci == NONE ? 0 : 1 + ci);
}

static void make_parents(char *path)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        mkdir(path, 0755);
        *at = '/';
    }
}

static void show(int gpu_minor, int gi, int ci)
{
    char path[160], instance[32] = "";
    int minor = capability_minor(gpu_minor, gi, ci);
    if (ci != NONE) snprintf(instance, sizeof instance, "/ci%d", ci);
    snprintf(path, sizeof path, CAPABILITIES "/gpu%d/mig/gi%d%s/access", gpu_minor, gi, instance);
    make_parents(path);
    FILE *f = fopen(path, "w");
    if (f) {
        fprintf(f, "DeviceFileMinor: %d\nDeviceFileMode: 292\nDeviceFileModify: 1\n", minor);
        fclose(f);
    }
    mkdir(NODES, 0755);
    snprintf(path, sizeof path, NODES "/nvidia-cap%d", minor);
    if (mknod(path, S_IFCHR | 0444, makedev(CAPS_MAJOR, (unsigned)minor)) == 0) chmod(path, 0444);
}

static int unlink_it(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void hide(int gpu_minor)
{
    char path[160];
    snprintf(path, sizeof path, CAPABILITIES "/gpu%d/mig", gpu_minor);
    nftw(path, unlink_it, 8, FTW_DEPTH | FTW_PHYS);
    for (int minor = capability_minor(gpu_minor, 0, NONE); minor < capability_minor(gpu_minor + 1, 0, NONE); minor++) {
        snprintf(path, sizeof path, NODES "/nvidia-cap%d", minor);
        unlink(path);
    }
}

void capabilities_show(int gpu)
{
    struct gpu *g = &host.gpu[gpu];
    if (getenv("NVML_DOUBLE_STATE") || access(CAPABILITIES, W_OK)) return; /* a test's state: no driver shows it */
    hide(g->minor);
    for (int a = 0; a < MAX_GI; a++) {
        if (!g->gi[a].used) continue;
        show(g->minor, a, NONE);
        for (int b = 0; b < MAX_CI; b++)
            if (g->gi[a].ci[b].used) show(g->minor, a, b);
    }
}
