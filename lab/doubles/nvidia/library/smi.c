/* nvidia-smi's double: the parts of its surface that tools, runbooks and people use. Layout and exit statuses follow
 * nvidia-smi(1) of branch 580; exit statuses are NVML's own codes. */
#include "smi.h"
#include <dlfcn.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct calls nvml;
enum { UNKNOWN = 255, MAX_TEXT = 128 };

int fail(nvmlReturn_t rc, const char *what, ...)
{
    va_list words;
    va_start(words, what);
    vprintf(what, words);
    va_end(words);
    printf("%s%s\n", *what ? ": " : "", nvml.nvmlErrorString ? nvml.nvmlErrorString(rc) : "Unknown Error");
    return rc == NVML_ERROR_UNKNOWN ? UNKNOWN : (int)rc;
}

/* ---- the library ---- */
static int load(void)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!library) {
        printf("NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display "
               "Driver is properly installed and present in your system.\n"
               "Please also try adding directory that contains libnvidia-ml.so to your system PATH.\n");
        return NVML_ERROR_LIBRARY_NOT_FOUND;
    }
#define LOAD(name) nvml.name = (__typeof(nvml.name))dlsym(library, #name);
    CALLS(LOAD)
    LOAD(doubleDeviceReset)
    return 0;
}

static int initialise(void)
{
    int status = load();
    if (status) return status;
    nvmlReturn_t rc = nvml.nvmlInit_v2();
    if (rc == NVML_SUCCESS) return 0;
    if (rc == NVML_ERROR_DRIVER_NOT_LOADED) {
        printf("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
               "NVIDIA driver is installed and running.\n\n");
        return rc;
    }
    status = fail(rc, "Failed to initialize NVML");
    char version[NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE] = "";
    nvml.nvmlSystemGetNVMLVersion(version, sizeof version);
    if (rc == NVML_ERROR_LIB_RM_VERSION_MISMATCH) printf("NVML library version: %s\n", strchr(version, '.') + 1);
    return status;
}

/* ---- which GPUs ---- */
static nvmlReturn_t find(const char *name, nvmlDevice_t *device)
{
    if (!strncmp(name, "GPU-", 4)) return nvml.nvmlDeviceGetHandleByUUID(name, device);
    if (strchr(name, ':')) return nvml.nvmlDeviceGetHandleByPciBusId_v2(name, device);
    return nvml.nvmlDeviceGetHandleByIndex_v2((unsigned)atoi(name), device);
}

int select_gpus(const char *which, struct selection *s) /* NULL: all; else "0,GPU-...,0000:1b:00.0" */
{
    unsigned count = 0;
    s->count = 0;
    nvml.nvmlDeviceGetCount_v2(&count);
    for (; !which && s->count < count; s->count++) {
        s->index[s->count] = s->count;
        s->rc[s->count] = nvml.nvmlDeviceGetHandleByIndex_v2(s->count, &s->device[s->count]);
    }
    if (which) {
        char list[512], *save;
        snprintf(list, sizeof list, "%s", which);
        for (char *name = strtok_r(list, ",", &save); name && s->count < 16; name = strtok_r(NULL, ",", &save), s->count++) {
            nvmlReturn_t rc = s->rc[s->count] = find(name, &s->device[s->count]);
            if (rc == NVML_ERROR_INVALID_ARGUMENT || rc == NVML_ERROR_NOT_FOUND) {
                printf("No devices were found\n");
                return NVML_ERROR_NOT_FOUND;
            }
            nvml.nvmlDeviceGetIndex(s->device[s->count], &s->index[s->count]);
        }
    }
    if (!s->count) printf("No devices were found\n");
    return s->count ? 0 : NVML_ERROR_NOT_FOUND;
}

/* ---- values, as --query-gpu names them ---- */
typedef nvmlReturn_t number_call(nvmlDevice_t, unsigned *);
typedef nvmlReturn_t string_call(nvmlDevice_t, char *, unsigned);

static const char *on_off(unsigned on) { return on ? "Enabled" : "Disabled"; }
static void watts(char *out, unsigned milliwatts) { snprintf(out, MAX_TEXT, "%.2f", milliwatts / 1000.0); }
static void integer(char *out, unsigned long long value) { snprintf(out, MAX_TEXT, "%llu", value); }
#define FIELD(name) static nvmlReturn_t name(nvmlDevice_t d, char *out)
#define STRING(field, call)                                                                                                 \
    FIELD(field) { return nvml.call(d, out, MAX_TEXT); }
#define NUMBER(field, call, show)                                                                                           \
    FIELD(field)                                                                                                            \
    {                                                                                                                       \
        unsigned value = 0;                                                                                                 \
        nvmlReturn_t rc = nvml.call(d, &value);                                                                             \
        show(out, value);                                                                                                   \
        return rc;                                                                                                          \
    }
STRING(get_name, nvmlDeviceGetName)
STRING(get_uuid, nvmlDeviceGetUUID)
STRING(get_serial, nvmlDeviceGetSerial)
STRING(get_vbios, nvmlDeviceGetVbiosVersion)
NUMBER(get_index, nvmlDeviceGetIndex, integer)
NUMBER(get_power, nvmlDeviceGetPowerUsage, watts)
NUMBER(get_limit, nvmlDeviceGetPowerManagementLimit, watts)
NUMBER(get_default_limit, nvmlDeviceGetPowerManagementDefaultLimit, watts)
NUMBER(get_link_gen, nvmlDeviceGetCurrPcieLinkGeneration, integer)
NUMBER(get_link_gen_max, nvmlDeviceGetMaxPcieLinkGeneration, integer)
NUMBER(get_link_width, nvmlDeviceGetCurrPcieLinkWidth, integer)
NUMBER(get_link_width_max, nvmlDeviceGetMaxPcieLinkWidth, integer)
FIELD(get_count)
{
    unsigned count = 0;
    (void)d;
    nvmlReturn_t rc = nvml.nvmlDeviceGetCount_v2(&count);
    integer(out, count);
    return rc;
}
FIELD(get_driver)
{
    (void)d;
    return nvml.nvmlSystemGetDriverVersion(out, MAX_TEXT);
}
FIELD(get_time)
{
    time_t now = time(NULL);
    (void)d;
    strftime(out, MAX_TEXT, "%Y/%m/%d %H:%M:%S.000", localtime(&now));
    return NVML_SUCCESS;
}
FIELD(get_bus)
{
    nvmlPciInfo_t pci = {0};
    nvmlReturn_t rc = nvml.nvmlDeviceGetPciInfo_v3(d, &pci);
    snprintf(out, MAX_TEXT, "%s", pci.busId);
    return rc;
}
FIELD(get_temperature)
{
    unsigned value = 0;
    nvmlReturn_t rc = nvml.nvmlDeviceGetTemperature(d, NVML_TEMPERATURE_GPU, &value);
    integer(out, value);
    return rc;
}
static nvmlReturn_t get_memory(nvmlDevice_t d, char *out, int which)
{
    nvmlMemory_t m = {0};
    nvmlReturn_t rc = nvml.nvmlDeviceGetMemoryInfo(d, &m);
    integer(out, (which == 0 ? m.total : which == 1 ? m.used : m.free) >> 20);
    return rc;
}
FIELD(get_memory_total) { return get_memory(d, out, 0); }
FIELD(get_memory_used) { return get_memory(d, out, 1); }
FIELD(get_memory_free) { return get_memory(d, out, 2); }
static nvmlReturn_t get_utilisation(nvmlDevice_t d, char *out, int memory)
{
    nvmlUtilization_t u = {0};
    nvmlReturn_t rc = nvml.nvmlDeviceGetUtilizationRates(d, &u);
    integer(out, memory ? u.memory : u.gpu);
    return rc;
}
FIELD(get_gpu_use) { return get_utilisation(d, out, 0); }
FIELD(get_memory_use) { return get_utilisation(d, out, 1); }
static nvmlReturn_t get_clock(nvmlDevice_t d, char *out, nvmlClockType_t kind)
{
    unsigned mhz = 0;
    nvmlReturn_t rc = nvml.nvmlDeviceGetClockInfo(d, kind, &mhz);
    integer(out, mhz);
    return rc;
}
static nvmlReturn_t get_range(nvmlDevice_t d, char *out, int highest)
{
    unsigned range[2] = {0};
    nvmlReturn_t rc = nvml.nvmlDeviceGetPowerManagementLimitConstraints(d, &range[0], &range[1]);
    watts(out, range[highest]);
    return rc;
}
FIELD(get_min_limit) { return get_range(d, out, 0); }
FIELD(get_max_limit) { return get_range(d, out, 1); }
static nvmlReturn_t get_max_clock(nvmlDevice_t d, char *out, nvmlClockType_t kind)
{
    unsigned mhz = 0;
    nvmlReturn_t rc = nvml.nvmlDeviceGetMaxClockInfo(d, kind, &mhz);
    integer(out, mhz);
    return rc;
}
FIELD(get_graphics_clock) { return get_clock(d, out, NVML_CLOCK_GRAPHICS); }
FIELD(get_max_graphics_clock) { return get_max_clock(d, out, NVML_CLOCK_GRAPHICS); }
FIELD(get_max_sm_clock) { return get_max_clock(d, out, NVML_CLOCK_SM); }
FIELD(get_max_memory_clock) { return get_max_clock(d, out, NVML_CLOCK_MEM); }
FIELD(get_compute_mode)
{
    static const char *const words[] = {"Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process"};
    nvmlComputeMode_t mode = 0;
    nvmlReturn_t rc = nvml.nvmlDeviceGetComputeMode(d, &mode);
    strcpy(out, words[mode % NVML_COMPUTEMODE_COUNT]);
    return rc;
}
FIELD(get_sm_clock) { return get_clock(d, out, NVML_CLOCK_SM); }
FIELD(get_memory_clock) { return get_clock(d, out, NVML_CLOCK_MEM); }
FIELD(get_pstate)
{
    nvmlPstates_t state = 0;
    nvmlReturn_t rc = nvml.nvmlDeviceGetPerformanceState(d, &state);
    snprintf(out, MAX_TEXT, "P%u", (unsigned)state);
    return rc;
}
FIELD(get_persistence)
{
    nvmlEnableState_t on = 0;
    nvmlReturn_t rc = nvml.nvmlDeviceGetPersistenceMode(d, &on);
    snprintf(out, MAX_TEXT, "%s", on_off(on));
    return rc;
}
static nvmlReturn_t get_mig(nvmlDevice_t d, char *out, int pending)
{
    unsigned mode[2] = {0};
    nvmlReturn_t rc = nvml.nvmlDeviceGetMigMode(d, &mode[0], &mode[1]);
    snprintf(out, MAX_TEXT, "%s", on_off(mode[pending]));
    return rc;
}
FIELD(get_mig_mode) { return get_mig(d, out, 0); }
FIELD(get_mig_pending) { return get_mig(d, out, 1); }
static nvmlReturn_t get_ecc_mode(nvmlDevice_t d, char *out, int pending)
{
    nvmlEnableState_t mode[2] = {0};
    nvmlReturn_t rc = nvml.nvmlDeviceGetEccMode(d, &mode[0], &mode[1]);
    snprintf(out, MAX_TEXT, "%s", on_off(mode[pending]));
    return rc;
}
FIELD(get_ecc) { return get_ecc_mode(d, out, 0); }
FIELD(get_ecc_pending) { return get_ecc_mode(d, out, 1); }
static nvmlReturn_t get_errors(nvmlDevice_t d, char *out, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter)
{
    unsigned long long count = 0;
    nvmlReturn_t rc = nvml.nvmlDeviceGetTotalEccErrors(d, type, counter, &count);
    integer(out, count);
    return rc;
}
FIELD(get_volatile_errors) { return get_errors(d, out, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC); }
FIELD(get_total_errors) { return get_errors(d, out, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_AGGREGATE_ECC); }
FIELD(get_capability)
{
    int major = 0, minor = 0;
    nvmlReturn_t rc = nvml.nvmlDeviceGetCudaComputeCapability(d, &major, &minor);
    snprintf(out, MAX_TEXT, "%d.%d", major, minor);
    return rc;
}

static const struct field {
    const char *name, *unit;
    nvmlReturn_t (*get)(nvmlDevice_t, char *);
} fields[] = {{"index", "", get_index},
              {"count", "", get_count},
              {"name", "", get_name},
              {"gpu_name", "", get_name},
              {"uuid", "", get_uuid},
              {"gpu_uuid", "", get_uuid},
              {"serial", "", get_serial},
              {"gpu_serial", "", get_serial},
              {"driver_version", "", get_driver},
              {"timestamp", "", get_time},
              {"vbios_version", "", get_vbios},
              {"compute_cap", "", get_capability},
              {"pci.bus_id", "", get_bus},
              {"gpu_bus_id", "", get_bus},
              {"pcie.link.gen.current", "", get_link_gen},
              {"pcie.link.gen.max", "", get_link_gen_max},
              {"pcie.link.width.current", "", get_link_width},
              {"pcie.link.width.max", "", get_link_width_max},
              {"memory.total", " MiB", get_memory_total},
              {"memory.used", " MiB", get_memory_used},
              {"memory.free", " MiB", get_memory_free},
              {"utilization.gpu", " %", get_gpu_use},
              {"utilization.memory", " %", get_memory_use},
              {"temperature.gpu", "", get_temperature},
              {"power.draw", " W", get_power},
              {"power.limit", " W", get_limit},
              {"power.default_limit", " W", get_default_limit},
              {"power.min_limit", " W", get_min_limit},
              {"power.max_limit", " W", get_max_limit},
              {"compute_mode", "", get_compute_mode},
              {"pstate", "", get_pstate},
              {"persistence_mode", "", get_persistence},
              {"clocks.gr", " MHz", get_graphics_clock},
              {"clocks.sm", " MHz", get_sm_clock},
              {"clocks.max.gr", " MHz", get_max_graphics_clock},
              {"clocks.max.sm", " MHz", get_max_sm_clock},
              {"clocks.max.mem", " MHz", get_max_memory_clock},
              {"clocks.mem", " MHz", get_memory_clock},
              {"mig.mode.current", "", get_mig_mode},
              {"mig.mode.pending", "", get_mig_pending},
              {"ecc.mode.current", "", get_ecc},
              {"ecc.mode.pending", "", get_ecc_pending},
              {"ecc.errors.uncorrected.volatile.total", "", get_volatile_errors},
              {"ecc.errors.uncorrected.aggregate.total", "", get_total_errors}};

static const struct field *field_named(const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strcmp(fields[i].name, name)) return &fields[i];
    return NULL;
}

static void value_of(nvmlReturn_t handle, nvmlDevice_t d, const struct field *f, int units, char *out)
{
    char text[MAX_TEXT] = "";
    nvmlReturn_t rc = handle == NVML_SUCCESS ? f->get(d, text) : handle;
    if (rc == NVML_SUCCESS)
        snprintf(out, 2 * MAX_TEXT, "%s%s", text, units ? f->unit : "");
    else if (rc == NVML_ERROR_NOT_SUPPORTED)
        strcpy(out, "[N/A]");
    else
        snprintf(out, 2 * MAX_TEXT, "[%s]", nvml.nvmlErrorString(rc));
}

/* ---- nvidia-smi --query-gpu ---- */
struct format {
    int header, units;
};

static int parse_format(const char *text, struct format *f)
{
    *f = (struct format){!strstr(text, "noheader"), !strstr(text, "nounits")};
    if (!strncmp(text, "csv", 3)) return 0;
    printf("ERROR: --format=csv must be given with --query options\n");
    return NVML_ERROR_INVALID_ARGUMENT;
}

static int parse_fields(const char *names, const struct field **list, unsigned *count)
{
    char copy[1024], *save;
    snprintf(copy, sizeof copy, "%s", names);
    *count = 0;
    for (char *name = strtok_r(copy, ", ", &save); name && *count < 64; name = strtok_r(NULL, ", ", &save)) {
        if (!(list[*count] = field_named(name))) {
            printf("Field \"%s\" is not a valid field to query.\n\n", name);
            return NVML_ERROR_INVALID_ARGUMENT;
        }
        ++*count;
    }
    return 0;
}

static int query(const char *names, const char *which, struct format format)
{
    const struct field *list[64];
    struct selection s;
    unsigned count;
    int status = parse_fields(names, list, &count) ?: select_gpus(which, &s);
    if (status) return status;
    for (unsigned k = 0; format.header && k < count; k++) {
        const char *unit = format.units && *list[k]->unit ? list[k]->unit + 1 : "";
        printf("%s%s%s%s", list[k]->name, *unit ? " [" : "", unit, *unit ? "]" : "");
        fputs(k + 1 < count ? ", " : "\n", stdout);
    }
    for (unsigned i = 0; i < s.count; i++)
        for (unsigned k = 0; k < count; k++) {
            char text[2 * MAX_TEXT];
            value_of(s.rc[i], s.device[i], list[k], format.units, text);
            printf("%s%s", text, k + 1 < count ? ", " : "\n");
        }
    return 0;
}

static int query_processes(const char *which, struct format format)
{
    struct selection s;
    int status = select_gpus(which, &s);
    if (status) return status;
    if (format.header) printf("gpu_uuid, pid, process_name, used_gpu_memory%s\n", format.units ? " [MiB]" : "");
    for (unsigned i = 0; i < s.count; i++) {
        nvmlProcessInfo_t list[32];
        unsigned count = 32;
        char uuid[96] = "", name[96];
        if (s.rc[i] || nvml.nvmlDeviceGetComputeRunningProcesses_v3(s.device[i], &count, list)) continue;
        nvml.nvmlDeviceGetUUID(s.device[i], uuid, sizeof uuid);
        for (unsigned k = 0; k < count; k++) {
            if (nvml.nvmlSystemGetProcessName(list[k].pid, name, sizeof name)) strcpy(name, "[Not Found]");
            printf("%s, %u, %s, %llu%s\n", uuid, list[k].pid, name, list[k].usedGpuMemory >> 20, format.units ? " MiB" : "");
        }
    }
    return 0;
}

/* ---- nvidia-smi -L ---- */
static void list_mig(nvmlDevice_t gpu)
{
    unsigned most = 0;
    nvml.nvmlDeviceGetMaxMigDeviceCount(gpu, &most);
    for (unsigned k = 0; k < most; k++) {
        nvmlDevice_t mig;
        char name[96] = "", uuid[96] = "";
        if (nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, k, &mig)) continue;
        nvml.nvmlDeviceGetName(mig, name, sizeof name);
        nvml.nvmlDeviceGetUUID(mig, uuid, sizeof uuid);
        printf("  %-15s Device %2u: (UUID: %s)\n", strstr(name, "MIG "), k, uuid);
    }
}

static int list(const char *which)
{
    struct selection s;
    int status = select_gpus(which, &s);
    for (unsigned i = 0; !status && i < s.count; i++) {
        char name[96] = "", uuid[96] = "";
        if (s.rc[i]) {
            printf("Unable to determine the device handle for gpu %u: %s\n", s.index[i], nvml.nvmlErrorString(s.rc[i]));
            status = (int)s.rc[i];
            continue;
        }
        nvml.nvmlDeviceGetName(s.device[i], name, sizeof name);
        nvml.nvmlDeviceGetUUID(s.device[i], uuid, sizeof uuid);
        printf("GPU %u: %s (UUID: %s)\n", s.index[i], name, uuid);
        list_mig(s.device[i]);
    }
    return status;
}

/* ---- nvidia-smi ---- */
#define RULE "+-----------------------------------------------------------------------------------------+\n"
#define ROWS "+-----------------------------------------+------------------------+----------------------+\n"

static void text_of(nvmlDevice_t d, const char *field, const char *unit, char *out) /* a table's cell: N/A, ERR! */
{
    nvmlReturn_t rc = field_named(field)->get(d, out);
    if (rc == NVML_SUCCESS)
        strcat(out, unit);
    else
        strcpy(out, rc == NVML_ERROR_NOT_SUPPORTED ? "N/A" : "ERR!");
}

static void row(unsigned index, nvmlDevice_t d)
{
    char name[MAX_TEXT], bus[MAX_TEXT], on[MAX_TEXT], ecc[MAX_TEXT], temperature[MAX_TEXT], state[MAX_TEXT], use[MAX_TEXT];
    char draw[MAX_TEXT], limit[MAX_TEXT], used[MAX_TEXT], total[MAX_TEXT], mig[MAX_TEXT], mode[MAX_TEXT], power[64],
        memory[64];
    text_of(d, "name", "", name), text_of(d, "pci.bus_id", "", bus), text_of(d, "persistence_mode", "", on);
    text_of(d, "ecc.errors.uncorrected.volatile.total", "", ecc), text_of(d, "temperature.gpu", "C", temperature);
    text_of(d, "pstate", "", state), text_of(d, "utilization.gpu", "%", use), text_of(d, "mig.mode.current", "", mig);
    text_of(d, "power.draw", "", draw), text_of(d, "power.limit", "", limit);
    text_of(d, "memory.used", "MiB", used), text_of(d, "memory.total", "MiB", total);
    text_of(d, "compute_mode", "", mode);
    snprintf(power, sizeof power, "%.0fW / %4.0fW", atof(draw), atof(limit));
    snprintf(memory, sizeof memory, "%.15s / %9.15s", used, total);
    printf("| %3u  %-29.29s %3s  | %18.18s %3s | %20.20s |\n", index, name, *on == 'E' ? "On" : "Off", bus, "Off", ecc);
    printf("| N/A  %4.10s %5.10s %23s | %22s | %7.10s %12.12s |\n", temperature, state, power, memory, use, mode);
    printf("|                                         |                        | %20.20s |\n" ROWS, mig);
}

static void processes(const struct selection *s)
{
    unsigned shown = 0;
    printf("\n" RULE "| %-87s |\n| %-87s |\n| %-87s |\n",
           "Processes:", " GPU   GI   CI              PID   Type   Process name                        GPU Memory",
           "       ID   ID                                                               Usage");
    printf("|=========================================================================================|\n");
    for (unsigned i = 0; i < s->count; i++) {
        nvmlProcessInfo_t list[32];
        unsigned count = 32;
        if (s->rc[i] || nvml.nvmlDeviceGetComputeRunningProcesses_v3(s->device[i], &count, list)) continue;
        for (unsigned k = 0; k < count; k++, shown++) {
            char name[96] = "", memory[32], gi[12] = "N/A", ci[12] = "N/A";
            nvml.nvmlSystemGetProcessName(list[k].pid, name, sizeof name);
            snprintf(memory, sizeof memory, "%lluMiB", list[k].usedGpuMemory >> 20);
            if (list[k].gpuInstanceId != ~0u) snprintf(gi, sizeof gi, "%u", list[k].gpuInstanceId);
            if (list[k].computeInstanceId != ~0u) snprintf(ci, sizeof ci, "%u", list[k].computeInstanceId);
            printf("| %4u %4s %4s %16u %6s   %-35.35s %10s |\n", s->index[i], gi, ci, list[k].pid, "C", name, memory);
        }
    }
    if (!shown) printf("|  %-86s |\n", "No running processes found");
    printf(RULE);
}

static int table(const char *which)
{
    struct selection s;
    char driver[80] = "", day[64];
    int cuda = 0, status = select_gpus(which, &s);
    time_t now = time(NULL);
    if (status) return status;
    nvml.nvmlSystemGetDriverVersion(driver, sizeof driver);
    nvml.nvmlSystemGetCudaDriverVersion_v2(&cuda);
    strftime(day, sizeof day, "%a %b %e %H:%M:%S %Y", localtime(&now));
    printf("%s       \n" RULE, day);
    printf("| NVIDIA-SMI %-22s Driver Version: %-14s CUDA Version: %d.%-5d |\n" ROWS, DRIVER_VERSION, driver, cuda / 1000,
           cuda % 1000 / 10);
    printf("| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |\n"
           "| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |\n"
           "|                                         |                        |               MIG M. |\n"
           "|=========================================+========================+======================|\n");
    for (unsigned i = 0; i < s.count; i++) {
        if (s.rc[i] == NVML_SUCCESS)
            row(s.index[i], s.device[i]);
        else
            status = fail(s.rc[i], "Unable to determine the device handle for GPU%u", s.index[i]);
    }
    processes(&s);
    return status;
}

/* ---- nvidia-smi -q ---- */
static int details(const char *which)
{
    struct selection s;
    int status = select_gpus(which, &s);
    if (status) return status;
    printf("\n==============NVSMI LOG==============\n\nAttached GPUs                             : %u\n", s.count);
    for (unsigned i = 0; i < s.count; i++) {
        char text[2 * MAX_TEXT];
        value_of(s.rc[i], s.device[i], field_named("pci.bus_id"), 0, text);
        printf("GPU %s\n", text);
        for (size_t k = 2; k < sizeof fields / sizeof *fields; k++) {
            if (!strncmp(fields[k].name, "gpu_", 4)) continue; /* other names of fields */
            value_of(s.rc[i], s.device[i], &fields[k], 1, text);
            printf("    %-37s : %s\n", fields[k].name, text);
        }
    }
    return 0;
}

/* ---- nvidia-smi -pm, -pl, -c, -e, -lgc, -rgc, -lmc, -rmc, -mig, -r ---- */
enum change { PERSISTENCE, POWER, COMPUTE, ECC, GPU_CLOCKS, GPU_CLOCKS_BACK, MEMORY_CLOCKS, MEMORY_CLOCKS_BACK, MIG, RESET };

static nvmlReturn_t change_mig(unsigned on, nvmlDevice_t d)
{
    nvmlReturn_t activation = NVML_SUCCESS, rc = nvml.nvmlDeviceSetMigMode(d, on, &activation);
    if (rc == NVML_SUCCESS && activation != NVML_SUCCESS)
        printf("Warning: MIG mode is in pending %s state: %s\n", on ? "enable" : "disable",
               nvml.nvmlErrorString(activation));
    return rc;
}

static nvmlReturn_t change_one(enum change what, const unsigned *value, nvmlDevice_t d) /* value[1]: of a pair */
{
    nvmlEnableState_t on = *value ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED;
    switch (what) {
    case PERSISTENCE:
        return nvml.nvmlDeviceSetPersistenceMode(d, on);
    case POWER:
        return nvml.nvmlDeviceSetPowerManagementLimit(d, *value * 1000);
    case COMPUTE:
        return nvml.nvmlDeviceSetComputeMode(d, *value);
    case ECC:
        return nvml.nvmlDeviceSetEccMode(d, on);
    case GPU_CLOCKS:
        return nvml.nvmlDeviceSetGpuLockedClocks(d, value[0], value[1]);
    case GPU_CLOCKS_BACK:
        return nvml.nvmlDeviceResetGpuLockedClocks(d);
    case MEMORY_CLOCKS:
        return nvml.nvmlDeviceSetMemoryLockedClocks(d, value[0], value[1]);
    case MEMORY_CLOCKS_BACK:
        return nvml.nvmlDeviceResetMemoryLockedClocks(d);
    case MIG:
        return change_mig(*value, d);
    default:
        return nvml.doubleDeviceReset(d);
    }
}

static int change(enum change what, const unsigned *value, const char *which)
{
    static const char *said[] = {"Persistence mode is set", "Power limit is set",      "Compute mode is set",
                                 "ECC support is set",      "GPU clocks are set",      "GPU clocks are reset",
                                 "Memory clocks are set",   "Memory clocks are reset", "MIG mode is set",
                                 "was successfully reset"};
    struct selection s;
    int status = select_gpus(which, &s);
    for (unsigned i = 0; !status && i < s.count; i++) {
        char bus[MAX_TEXT] = "";
        nvmlReturn_t rc = s.rc[i];
        if (rc == NVML_SUCCESS || what == RESET)
            rc = change_one(what, value, s.device[i]); /* a reset is for lost ones, too */
        if (rc != NVML_SUCCESS) return fail(rc, "Unable to change GPU %u", s.index[i]);
        get_bus(s.device[i], bus);
        printf(what == RESET ? "GPU %s %s.\n" : "%2$s for GPU %1$s.\n", bus, said[what]);
    }
    if (!status) printf("All done.\n");
    return status;
}

/* ---- the command line ---- */
static int usage(int status)
{
    printf("NVIDIA System Management Interface -- v" DRIVER_VERSION " (double)\n\n"
           "nvidia-smi [OPTION]...\n"
           "    -L, --list-gpus              -q, --query            -i, --id=GPU\n"
           "    --query-gpu=FIELD,...  --query-compute-apps=...  --format=csv[,noheader][,nounits]\n"
           "    -pm, --persistence-mode=0|1  -pl, --power-limit=W   -mig, --multi-instance-gpu=0|1   -r, --gpu-reset\n"
           "    -c, --compute-mode=0|2|3     -e, --ecc-config=0|1   -lgc, --lock-gpu-clocks=MIN,MAX  -rgc\n"
           "    -lmc, --lock-memory-clocks=MIN,MAX  -rmc\n"
           "nvidia-smi topo -m    nvidia-smi nvlink -s [-i GPU]\n"
           "nvidia-smi mig [-lgip|-lgi|-lci|-cgi P,... [-C]|-cci|-dgi|-dci] [-i GPU] [-gi ID]\n");
    return status;
}

static const struct option options[] = {{"list-gpus", 0, NULL, 'L'},
                                        {"query", 0, NULL, 'q'},
                                        {"id", 1, NULL, 'i'},
                                        {"query-gpu", 1, NULL, 'Q'},
                                        {"query-compute-apps", 1, NULL, 'A'},
                                        {"format", 1, NULL, 'f'},
                                        {"persistence-mode", 1, NULL, 'm'},
                                        {"pm", 1, NULL, 'm'},
                                        {"power-limit", 1, NULL, 'p'},
                                        {"pl", 1, NULL, 'p'},
                                        {"compute-mode", 1, NULL, 'c'},
                                        {"ecc-config", 1, NULL, 'e'},
                                        {"lock-gpu-clocks", 1, NULL, 'g'},
                                        {"lgc", 1, NULL, 'g'},
                                        {"reset-gpu-clocks", 0, NULL, 'G'},
                                        {"rgc", 0, NULL, 'G'},
                                        {"lock-memory-clocks", 1, NULL, 'l'},
                                        {"lmc", 1, NULL, 'l'},
                                        {"reset-memory-clocks", 0, NULL, 'R'},
                                        {"rmc", 0, NULL, 'R'},
                                        {"multi-instance-gpu", 1, NULL, 'M'},
                                        {"mig", 1, NULL, 'M'},
                                        {"gpu-reset", 0, NULL, 'r'},
                                        {"version", 0, NULL, 'v'},
                                        {"help", 0, NULL, 'h'},
                                        {0}};
struct command {
    int verb;
    const char *which, *names, *format;
    unsigned value[2]; /* the second: of a pair; alone, a number is both */
};

static int parse(int count, char **words, struct command *c)
{
    for (int letter; (letter = getopt_long_only(count, words, "Lqi:rvhc:e:", options, NULL)) != -1;) {
        if (letter == 'i')
            c->which = optarg;
        else if (letter == 'f')
            c->format = optarg;
        else
            c->verb = letter;
        if (letter == 'Q' || letter == 'A') c->names = optarg;
        if (strchr("mpceglM", letter)) {
            const char *comma = strchr(optarg, ',');
            c->value[0] = (unsigned)atoi(optarg);
            c->value[1] = comma ? (unsigned)atoi(comma + 1) : c->value[0];
        }
    }
    return c->verb == '?' || optind < count ? NVML_ERROR_INVALID_ARGUMENT : 0;
}

static int run(const struct command *c)
{
    struct format format = {1, 1};
    int status = c->names ? parse_format(c->format, &format) : 0;
    if (status) return status;
    switch (c->verb) {
    case 'L':
        return list(c->which);
    case 'q':
        return details(c->which);
    case 'Q':
        return query(c->names, c->which, format);
    case 'A':
        return query_processes(c->which, format);
    case 'm':
        return change(PERSISTENCE, c->value, c->which);
    case 'p':
        return change(POWER, c->value, c->which);
    case 'c':
        return change(COMPUTE, c->value, c->which);
    case 'e':
        return change(ECC, c->value, c->which);
    case 'g':
        return change(GPU_CLOCKS, c->value, c->which);
    case 'G':
        return change(GPU_CLOCKS_BACK, c->value, c->which);
    case 'l':
        return change(MEMORY_CLOCKS, c->value, c->which);
    case 'R':
        return change(MEMORY_CLOCKS_BACK, c->value, c->which);
    case 'M':
        return change(MIG, c->value, c->which);
    case 'r':
        return change(RESET, c->value, c->which);
    default:
        return table(c->which);
    }
}

static const struct {
    const char *name;
    int (*run)(int count, char **words);
} commands[] = {{"mig", mig_command}, {"topo", topology_command}, {"nvlink", nvlink_command}};

int main(int count, char **words)
{
    int (*named)(int, char **) = NULL;
    for (size_t i = 0; count > 1 && i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(words[1], commands[i].name)) named = commands[i].run;
    struct command c = {.format = ""};
    if (!named && parse(count, words, &c)) return usage(NVML_ERROR_INVALID_ARGUMENT);
    if (c.verb == 'h') return usage(0);
    int status = initialise();
    if (status) return status;
    if (c.verb == 'v') return !printf("NVIDIA-SMI version  : " DRIVER_VERSION "\n");
    return named ? named(count - 1, words + 1) : run(&c);
}
