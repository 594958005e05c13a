// settings.cpp - settings, from the environment and from simcuda.h.
#include "driver.h"
#include <cstdlib>
#include <cstring>

namespace simcuda {

namespace {

uint64_t parse_number(const char* name, const char* text) {
    char* end;
    uint64_t value = strtoull(text, &end, 0);
    if (*text == '\0' || *end != '\0') fail(CUDA_ERROR_INVALID_VALUE, "%s: '%s' is no number", name, text);
    return value;
}

template <class T> void read(const char* name, T& value) {
    if (const char* text = getenv(name)) value = (T)parse_number(name, text);
}

int parse_choice(const char* name, const char* text, std::initializer_list<const char*> choices) {
    int i = 0;
    for (const char* choice : choices) {
        if (strcmp(text, choice) == 0) return i;
        i++;
    }
    fail(CUDA_ERROR_INVALID_VALUE, "%s: '%s' is no choice", name, text);
}

// "9.0" or "90".
int parse_capability(const char* name, const char* text) {
    const char* point = strchr(text, '.');
    if (!point) return (int)parse_number(name, text);
    return (int)(10 * parse_number(name, std::string(text, point).c_str()) + parse_number(name, point + 1));
}

// One "name:number=code" or "name:number=~code".
bool parse_failure(const std::string& text, std::string& name, Failure& failure) {
    char function[64], rest[2] = "";
    unsigned long long number;
    if (sscanf(text.c_str(), "%63[A-Za-z0-9_]:%llu=~%d%1s", function, &number, &failure.code, rest) == 3) failure.asynchronous = true;
    else if (sscanf(text.c_str(), "%63[A-Za-z0-9_]:%llu=%d%1s", function, &number, &failure.code, rest) == 3) failure.asynchronous = false;
    else return false;
    name = function;
    failure.calls_left = number;
    return number > 0 && failure.code > 0;
}

}  // namespace

void Driver::read_environment() {
    if (const char* text = getenv("SIMCUDA_ORDER")) settings.order = parse_choice("SIMCUDA_ORDER", text, {"eager", "lazy"});
    read("SIMCUDA_SEED", settings.seed);
    if (const char* text = getenv("SIMCUDA_KERNEL_ORDER"))
        settings.kernel_order = parse_choice("SIMCUDA_KERNEL_ORDER", text, {"forward", "reversed", "random"});
    read("SIMCUDA_KERNEL_SEED", settings.kernel_seed);
    read("SIMCUDA_EMPTY_KERNELS", settings.empty_kernels);
    read("SIMCUDA_RACE_CHECKS", settings.race_checks);
    read("SIMCUDA_PRINT", settings.printing);
    read("SIMCUDA_MEMORY", settings.memory);
    read("SIMCUDA_MULTIPROCESSORS", settings.multiprocessors);
    if (const char* text = getenv("SIMCUDA_COMPUTE_CAPABILITY")) settings.compute_capability = parse_capability("SIMCUDA_COMPUTE_CAPABILITY", text);
    if (const char* text = getenv("SIMCUDA_FAIL"))
        if (!set_failures(text)) fail(CUDA_ERROR_INVALID_VALUE, "SIMCUDA_FAIL: '%s' is not of the form name:number=code", text);
    random.seed(settings.seed);
    memory.total = settings.memory;
    simt_check_races(settings.race_checks);
}

bool Driver::set_failures(const char* specification) {
    failures.clear();
    std::string text = specification ? specification : "";
    for (size_t start = 0; start < text.size();) {
        size_t end = std::min(text.find(',', start), text.size());
        std::string name;
        Failure failure;
        if (!parse_failure(text.substr(start, end - start), name, failure)) {
            failures.clear();
            return false;
        }
        failures[name] = failure;
        start = end + 1;
    }
    return true;
}

}  // namespace simcuda
