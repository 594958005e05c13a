/* simt_api.h - the simulator as a library: device memory, and kernels by name with the arguments of cuLaunchKernel. Errors come back as text.
   One kernel runs at a time; calls from several threads take turns. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIMT_EXPORT __attribute__((visibility("default")))

/* Zeroed memory, aligned to 256 bytes, with guards around it; the name appears in errors. NULL: no memory left. */
SIMT_EXPORT void* simt_allocate(size_t bytes, const char* name);
SIMT_EXPORT int simt_free(void* memory);                /* 0: done, 1: not what simt_allocate returned */
SIMT_EXPORT size_t simt_live_buffers(void);

/* The kernels of this library: name i, or NULL from the last on. */
SIMT_EXPORT const char* simt_kernel_name(int i);

/* What a kernel takes. */
enum { SIMT_POINTER = 0, SIMT_INTEGER = 1, SIMT_FLOAT = 2, SIMT_STRUCTURE = 3 };
typedef struct simt_parameter {
    uint32_t bytes, alignment, kind;
} simt_parameter;

/* The parameters of kernel i: how many, and where they are described for as long as the library is loaded. -1: there is no kernel i. */
SIMT_EXPORT int simt_kernel_parameters(int i, const simt_parameter** parameters);

/* 0: races on device memory are not looked for, which is faster. Everything else is checked as before. */
SIMT_EXPORT void simt_check_races(int on);

/* 1: every load and store of a kernel is checked and counted. 0: AddressSanitizer checks them instead; races and the use of words that were
   never written are not seen, and traffic is not counted. */
SIMT_EXPORT int simt_sees_accesses(void);

/* In which order lanes, warps and blocks run. */
enum { SIMT_FORWARD = 0, SIMT_REVERSED = 1, SIMT_RANDOM = 2 };

typedef struct simt_launch_config {
    uint32_t grid[3], block[3];
    uint32_t shared_bytes;     /* dynamic */
    uint32_t order;
    uint64_t seed;             /* of SIMT_RANDOM */
} simt_launch_config;

/* What the memory system would have to do. Sectors have 32 bytes; a request is an instruction of a warp; a phase is a group of lanes that
   shared memory serves together, a conflict one more that it needs. */
typedef struct simt_traffic {
    uint64_t load_requests, load_sectors, store_requests, store_sectors;
    uint64_t loaded_bytes, stored_bytes;      /* different bytes of device memory */
    uint64_t shared_phases, shared_conflicts;
    uint64_t mma_flops, wgmma_flops;
} simt_traffic;

/* Runs a kernel; arguments[i] points to argument i, which has argument_bytes[i] bytes. With traffic the launch is counted, which is slower.
   Returns NULL, or what went wrong, valid until the next call. */
SIMT_EXPORT const char* simt_launch(const char* kernel, const simt_launch_config* config, void* const* arguments, const size_t* argument_bytes,
                                    int count, simt_traffic* traffic);

/* cuTensorMapEncodeTiled for two or three dimensions of 16-bit elements: extents and box in elements, innermost first, a third extent of the
   box must be 1; the pitches of all dimensions but the first in bytes; the swizzle as the driver numbers it (3 is 128 bytes). The map has
   128 bytes, aligned to 64. NULL, or what is wrong. */
SIMT_EXPORT const char* simt_encode_tensor_map(void* map, void* base, uint32_t rank, const uint64_t* extent, const uint64_t* pitch, const uint32_t* box,
                                               uint32_t swizzle);

/* The address of the tensor that a kernel's argument of so many bytes is a map of; NULL when it is no map. */
SIMT_EXPORT void* simt_tensor_map_base(const void* map, size_t bytes);

#ifdef __cplusplus
}
#endif
