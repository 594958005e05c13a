#include "simt_api.h"
#include "kernel.h"
#include "memory.h"
#include "sanitizer.h"
#include "tensor_map.h"
#include "trace.h"
#include <cstring>
#include <mutex>

namespace simt {

namespace {
std::mutex one_at_a_time;
std::string message;
std::vector<Kernel>& registered() {
    static std::vector<Kernel> all;
    return all;
}
const char* result(std::string text) {
    message = std::move(text);
    return message.empty() ? nullptr : message.c_str();
}
}  // namespace

void add_kernel(const Kernel& kernel) { registered().push_back(kernel); }
const std::vector<Kernel>& kernels() { return registered(); }

}  // namespace simt

using namespace simt;

void* simt_allocate(size_t bytes, const char* name) {
    std::lock_guard lock(one_at_a_time);
    return allocate(bytes, name);
}

int simt_free(void* memory) {
    std::lock_guard lock(one_at_a_time);
    return release(memory) ? 0 : 1;
}

size_t simt_live_buffers(void) {
    std::lock_guard lock(one_at_a_time);
    return all_buffers().size();
}

const char* simt_kernel_name(int i) { return i >= 0 && i < (int)kernels().size() ? kernels()[i].name : nullptr; }

int simt_kernel_parameters(int i, const simt_parameter** parameters) {
    if (i < 0 || i >= (int)kernels().size()) return -1;
    *parameters = kernels()[i].parameters.data();
    return (int)kernels()[i].parameters.size();
}

int simt_sees_accesses(void) { return sees_accesses; }

const char* simt_launch(const char* name, const simt_launch_config* config, void* const* arguments, const size_t* argument_bytes, int count,
                        simt_traffic* counted) {
    std::lock_guard lock(one_at_a_time);
    const Kernel* kernel = nullptr;
    for (const Kernel& k : kernels()) if (strcmp(k.name, name) == 0) kernel = &k;
    if (!kernel) return result(std::string("there is no kernel ") + name);
    std::string prefix = std::string(name) + ": ";
    if (count != (int)kernel->parameters.size())
        return result(prefix + std::to_string(count) + " arguments, but the kernel has " + std::to_string(kernel->parameters.size()));
    for (int i = 0; i < count; i++)
        if (argument_bytes[i] != kernel->parameters[i].bytes)
            return result(prefix + "argument " + std::to_string(i) + " has " + std::to_string(argument_bytes[i]) + " bytes, but the kernel's has "
                          + std::to_string(kernel->parameters[i].bytes));

    struct Call { Launch launch; std::string error; } call;
    call.launch.grid = {config->grid[0], config->grid[1], config->grid[2]};
    call.launch.block = {config->block[0], config->block[1], config->block[2]};
    call.launch.shared_bytes = config->shared_bytes;
    call.launch.order = {(OrderKind)config->order, config->seed};
    if (counted) trace_begin();
    kernel->bind(arguments, [](void (*body)(void*), void* context, void* p) {
        auto& call = *(Call*)p;
        call.launch.body = body;
        call.launch.body_argument = context;
        call.error = run(call.launch);
    }, &call);
    if (counted) {
        trace_end();
        static_assert(sizeof(simt_traffic) == sizeof(Traffic));
        memcpy(counted, &traffic, sizeof traffic);
    }
    std::string error = call.error.empty() ? damaged_band() : call.error;
    return result(error.empty() ? "" : prefix + error);
}

void simt_check_races(int on) {
    std::lock_guard lock(one_at_a_time);
    races_are_checked = on != 0;
}

void* simt_tensor_map_base(const void* map, size_t bytes) {
    CUtensorMap copy;
    if (bytes != sizeof copy) return nullptr;
    memcpy(&copy, map, sizeof copy);
    return copy.magic == tensor_map_magic ? copy.base : nullptr;
}

const char* simt_encode_tensor_map(void* map, void* base, uint32_t rank, const uint64_t* extent, const uint64_t* pitch, const uint32_t* box, uint32_t swizzle) {
    std::lock_guard lock(one_at_a_time);
    return result(encode_tensor_map((CUtensorMap*)map, base, rank, extent, pitch, box, swizzle));
}
