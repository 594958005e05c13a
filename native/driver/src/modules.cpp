#include "modules.h"
#include "driver.h"
#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace simcuda {

namespace {

constexpr int known_ptx_version = 84;            // of the driver's version
constexpr int default_dynamic_shared = 48 << 10;
constexpr uint32_t elf_magic = 0x464c457f, fatbin_magic = 0xba55ed50;

struct Source {
    const char* name;
    const char* digest;      // SHA-256
};
constexpr Source compiled_sources[] = {
#include "source_digests.inc"
};

int kernel_by_name(const std::string& name) {
    for (int i = 0; const char* known = simt_kernel_name(i); i++)
        if (name == known) return i;
    return -1;
}

const char* name_of(uint32_t kind) {
    switch (kind) {
        case SIMT_POINTER: return "a pointer";
        case SIMT_INTEGER: return "an integer";
        case SIMT_FLOAT: return "a floating-point number";
        default: return "a structure";
    }
}

bool same_kind(const ptx::Parameter& declared, const simt_parameter& compiled) {
    switch (declared.kind) {
        case ptx::Kind::floating: return compiled.kind == SIMT_FLOAT;
        case ptx::Kind::bytes: return compiled.kind == SIMT_STRUCTURE && compiled.alignment == declared.alignment;
        default: return compiled.kind == SIMT_POINTER || compiled.kind == SIMT_INTEGER;
    }
}

void compare(const ptx::Entry& declared, const simt_parameter* compiled, int count) {
    const char* name = declared.name.c_str();
    if ((int)declared.parameters.size() != count)
        fail(CUDA_ERROR_INVALID_IMAGE, "%s has %zu parameters in PTX and %d as it was compiled for the CPU", name, declared.parameters.size(), count);
    for (int i = 0; i < count; i++) {
        const ptx::Parameter& parameter = declared.parameters[i];
        if (parameter.bytes == compiled[i].bytes && same_kind(parameter, compiled[i])) continue;
        fail(CUDA_ERROR_INVALID_IMAGE, "%s: parameter %d is '%s' of %u bytes in PTX, and %s of %u bytes, aligned to %u, as it was compiled for the CPU", name,
             i, parameter.text.c_str(), parameter.bytes, name_of(compiled[i].kind), compiled[i].bytes, compiled[i].alignment);
    }
}

void check_target(const ptx::Module& module, int capability) {
    if (module.version > known_ptx_version)
        fail(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "PTX %d.%d is newer than the driver's %d.%d", module.version / 10, module.version % 10, known_ptx_version / 10,
             known_ptx_version % 10);
    int target = 0;
    char suffix = 0;
    if (sscanf(module.target.c_str(), "sm_%d%c", &target, &suffix) < 1) fail(CUDA_ERROR_INVALID_PTX, "the target '%s' is unknown", module.target.c_str());
    // Code for sm_90a runs on 9.0 and on nothing later.
    if (target > capability || (suffix == 'a' && target != capability))
        fail(CUDA_ERROR_NO_BINARY_FOR_GPU, "PTX for %s does not run on compute capability %d.%d", module.target.c_str(), capability / 10, capability % 10);
}

// PTX that names its sources must come from those that the kernels were compiled from for the CPU.
void check_sources(const ptx::Module& module) {
    for (auto& [name, digest] : module.sources) {
        auto same_name = [&name = name](const Source& source) { return name == source.name; };
        auto* known = std::find_if(std::begin(compiled_sources), std::end(compiled_sources), same_name);
        if (known == std::end(compiled_sources))
            fail(CUDA_ERROR_INVALID_IMAGE, "the PTX was compiled with %s, which the simulator does not know", name.c_str());
        if (digest != known->digest)
            fail(CUDA_ERROR_INVALID_IMAGE, "the PTX was compiled with another %s than the simulator: build the older of the two again", name.c_str());
    }
}

// What a card would say. Of races and the like, which it does not see, it says nothing; here they are an unspecified failure.
CUresult code_of(const char* wrong) {
    if (strstr(wrong, "race on ")) return CUDA_ERROR_LAUNCH_FAILED;
    if (strstr(wrong, "misaligned access")) return CUDA_ERROR_MISALIGNED_ADDRESS;
    if (strstr(wrong, " bytes at ") || strstr(wrong, "was written")) return CUDA_ERROR_ILLEGAL_ADDRESS;
    return CUDA_ERROR_LAUNCH_FAILED;
}

}  // namespace

CUmod_st load_module(Driver& driver, const char* image) {
    uint32_t magic;
    memcpy(&magic, image, sizeof magic);
    if (magic == elf_magic || magic == fatbin_magic) fail(CUDA_ERROR_NO_BINARY_FOR_GPU, "machine code: the simulator reads PTX only");
    ptx::Module parsed;
    try {
        parsed = ptx::parse(image);
    } catch (const std::runtime_error& error) {
        fail(CUDA_ERROR_INVALID_PTX, "%s", error.what());
    }
    check_target(parsed, driver.settings.compute_capability);
    check_sources(parsed);

    std::vector<CUfunc_st> functions;
    for (ptx::Entry& entry : parsed.entries) {
        int kernel = kernel_by_name(entry.name);
        if (kernel < 0) fail(CUDA_ERROR_INVALID_IMAGE, "%s was not compiled for the CPU", entry.name.c_str());
        const simt_parameter* parameters;
        int count = simt_kernel_parameters(kernel, &parameters);
        compare(entry, parameters, count);
        int dynamic = default_dynamic_shared - (int)entry.static_shared_bytes;
        functions.push_back({simt_kernel_name(kernel), std::move(entry), parameters, count, dynamic});
    }
    CUmod_st module;
    for (CUfunc_st& function : functions) module.functions[function.name] = driver.functions.create(std::move(function));
    return module;
}

void check_geometry(const CUfunc_st& function, const Geometry& geometry) {
    const char* name = function.name;
    const uint32_t* grid = geometry.grid;
    const uint32_t* block = geometry.block;
    const uint32_t* bounds = function.declared.max_threads;
    if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || grid[0] > INT32_MAX || grid[1] > 65535 || grid[2] > 65535)
        fail(CUDA_ERROR_INVALID_VALUE, "%s: a grid of %u x %u x %u blocks", name, grid[0], grid[1], grid[2]);
    uint64_t threads = (uint64_t)block[0] * block[1] * block[2];
    if (threads == 0 || block[0] > 1024 || block[1] > 1024 || block[2] > 64 || threads > 1024)
        fail(CUDA_ERROR_INVALID_VALUE, "%s: a block of %u x %u x %u threads", name, block[0], block[1], block[2]);
    bool within = function.declared.exact ? block[0] == bounds[0] && block[1] == bounds[1] && block[2] == bounds[2]
                                          : threads <= (uint64_t)bounds[0] * bounds[1] * bounds[2];
    if (bounds[0] && !within)
        fail(CUDA_ERROR_INVALID_VALUE, "%s: a block of %u x %u x %u threads, and launch bounds of %u x %u x %u", name, block[0], block[1], block[2], bounds[0],
             bounds[1], bounds[2]);
    if ((int64_t)geometry.shared_bytes > function.max_dynamic_shared)
        fail(CUDA_ERROR_INVALID_VALUE, "%s: %u bytes of dynamic shared memory; its limit is %d, which cuFuncSetAttribute raises", name, geometry.shared_bytes,
             function.max_dynamic_shared);
}

void check_arguments(Driver& driver, const CUfunc_st& function, void* const* arguments) {
    for (int i = 0; i < function.parameter_count; i++) {
        uint64_t address = 0;
        if (function.parameters[i].kind == SIMT_POINTER) memcpy(&address, arguments[i], sizeof address);
        else if (function.parameters[i].kind == SIMT_STRUCTURE) address = (uint64_t)simt_tensor_map_base(arguments[i], function.parameters[i].bytes);
        if (address == 0) continue;              // an argument that is not there, or no address
        char what[160];
        snprintf(what, sizeof what, "%s: argument %d", function.name, i);
        driver.memory.check(address, 1, CUDA_ERROR_ILLEGAL_ADDRESS, what);
    }
}

void run_kernel(Driver& driver, const CUfunc_st& function, const Geometry& geometry, void* const* arguments) {
    driver.executed_kernels++;
    if (driver.settings.empty_kernels) return;
    simt_launch_config config{{geometry.grid[0], geometry.grid[1], geometry.grid[2]},
                              {geometry.block[0], geometry.block[1], geometry.block[2]},
                              geometry.shared_bytes,
                              (uint32_t)driver.settings.kernel_order,
                              driver.settings.kernel_seed + (uint64_t)driver.executed_kernels};
    size_t bytes[256];
    for (int i = 0; i < function.parameter_count; i++) bytes[i] = function.parameters[i].bytes;
    const char* wrong = simt_launch(function.name, &config, arguments, bytes, function.parameter_count, nullptr);
    if (!wrong) return;
    fail(code_of(wrong), "%s", wrong);
}

RecordedLaunch::RecordedLaunch(CUfunction function, const Geometry& geometry, void* const* arguments) : function_(function), geometry_(geometry) {
    uint32_t end = 0;
    for (int i = 0; i < function->parameter_count; i++) {
        const simt_parameter& parameter = function->parameters[i];
        end = (end + parameter.alignment - 1) / parameter.alignment * parameter.alignment;
        offsets_.push_back(end);
        end += parameter.bytes;
    }
    bytes_.resize(end);
    for (size_t i = 0; i < offsets_.size(); i++) memcpy(&bytes_[offsets_[i]], arguments[i], function->parameters[i].bytes);
}

void RecordedLaunch::operator()() const {
    Driver& d = driver();
    if (!d.functions.is_live(function_)) fail(CUDA_ERROR_ILLEGAL_ADDRESS, "a launch of a kernel whose module was unloaded");
    void* arguments[256];
    for (size_t i = 0; i < offsets_.size(); i++) arguments[i] = (void*)&bytes_[offsets_[i]];
    check_arguments(d, *function_, arguments);
    run_kernel(d, *function_, geometry_, arguments);
}

}  // namespace simcuda
