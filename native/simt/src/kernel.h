// kernel.h - SIMT_KERNEL(name) makes a compiled kernel known by name. The build writes one line of it for each kernel of a .cu file.
#pragma once
#include "simt.h"
#include "simt_api.h"
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace simt {

struct Kernel {
    const char* name;
    std::vector<simt_parameter> parameters;
    // Calls `run` with a function that executes the kernel for the running thread, with typed copies of the arguments.
    void (*bind)(void* const* arguments, void (*run)(void (*body)(void*), void* context, void* launch), void* launch);
};

void add_kernel(const Kernel& kernel);
const std::vector<Kernel>& kernels();

template <class T> constexpr simt_parameter parameter_of() {
    uint32_t kind = std::is_pointer_v<T> ? SIMT_POINTER
        : std::is_floating_point_v<T> ? SIMT_FLOAT
        : std::is_integral_v<T> || std::is_enum_v<T> ? SIMT_INTEGER : SIMT_STRUCTURE;
    return {sizeof(T), alignof(T), kind};
}

template <auto F> struct Bound;
template <class... A, void (*F)(A...)> struct Bound<F> {
    static Kernel kernel(const char* name) { return {name, {parameter_of<A>()...}, bind}; }
    static void bind(void* const* arguments, void (*run)(void (*)(void*), void*, void*), void* launch) {
        bind(arguments, run, launch, std::index_sequence_for<A...>{});
    }
    template <size_t... I> static void bind(void* const* arguments, void (*run)(void (*)(void*), void*, void*), void* launch, std::index_sequence<I...>) {
        std::tuple<std::remove_cv_t<A>...> values;
        (__builtin_memcpy(&std::get<I>(values), arguments[I], sizeof(A)), ...);
        run([](void* context) { std::apply(F, *(std::tuple<std::remove_cv_t<A>...>*)context); }, &values, launch);
    }
};

struct Registration { explicit Registration(const Kernel& kernel) { add_kernel(kernel); } };

}  // namespace simt

#define SIMT_KERNEL(name) static const simt::Registration simt_registration_##name{simt::Bound<&name>::kernel(#name)};
