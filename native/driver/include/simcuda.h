/* simcuda.h - what the simulated driver offers beside the CUDA API, to the tests of a program that runs on it. All are exported by libcuda.so.1.
   Texts go into the caller's buffer, cut to its size and ended by a zero; the result is their whole length in bytes. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIMCUDA_EXPORT __attribute__((visibility("default")))

/* When work runs. Eager: in the call that submits it. Lazy: when somebody waits for it, or for something that comes after it. */
enum { SIMCUDA_EAGER = 0, SIMCUDA_LAZY = 1 };
/* Runs what is pending, then changes the order. With a seed other than 0, graphs replay in a random order that their edges allow, and a wait in
   lazy order first takes random steps of other streams. */
SIMCUDA_EXPORT void simcudaSetOrder(int order, uint64_t seed);

/* What device there is: compute capability (90 is 9.0), multiprocessors, bytes of memory. 0 leaves a number as it is. */
SIMCUDA_EXPORT void simcudaSetDevice(int compute_capability, int multiprocessors, uint64_t memory);

/* In which order lanes, warps and blocks of a kernel run: 0 forward, 1 reversed, 2 random with the seed (simt_api.h). */
SIMCUDA_EXPORT void simcudaSetKernelOrder(int order, uint64_t seed);

/* Failures of calls to come, "cuMemAlloc_v2:3=2,cuLaunchKernel:10=~719": the third allocation from now returns 2; launch 10 returns success and its
   work fails with 719, which every later call reports. Replaces earlier ones; "" or NULL for none. Returns how many there are, -1 for a text that
   cannot be read. */
SIMCUDA_EXPORT int simcudaSetFailures(const char* specification);

/* 1: launches are checked and counted and do nothing, and so do matrix products, fills, copies from device to device, and the poisoning of new
   memory: what is left is the cost of the host. */
SIMCUDA_EXPORT void simcudaSetEmptyKernels(int empty);

/* 0: kernels run without the check for races on device memory, faster; everything else is checked as before. */
SIMCUDA_EXPORT void simcudaSetRaceChecks(int on);

/* 0: errors are not written to the standard error output. */
SIMCUDA_EXPORT void simcudaSetPrinting(int on);

/* How often a function of the API was called, by its exported name; 0 for a name that is not known. */
SIMCUDA_EXPORT int64_t simcudaCallCount(const char* function);
/* How many kernels and matrix products ran, or would have in empty mode: graphs count each of their nodes at each replay. */
SIMCUDA_EXPORT int64_t simcudaExecutedKernels(void);
/* Asynchronous copies from or to host memory that is not pinned. */
SIMCUDA_EXPORT int64_t simcudaUnpinnedCopies(void);

/* What has been created and not destroyed: the number, and a line for each. */
SIMCUDA_EXPORT int simcudaLiveObjects(char* text, int size);
/* Objects that were still live when the context was released. */
SIMCUDA_EXPORT int64_t simcudaLeakedObjects(void);
SIMCUDA_EXPORT size_t simcudaUsedMemory(void);

/* What was wrong with the latest call that failed, or with the work that failed. */
SIMCUDA_EXPORT int simcudaLastMessage(char* text, int size);

/* As if the process were new: all objects, counts, errors and settings are gone and the environment is read again; handles are dead. Only cuInit
   is remembered. */
SIMCUDA_EXPORT void simcudaReset(void);

#ifdef __cplusplus
}
#endif
