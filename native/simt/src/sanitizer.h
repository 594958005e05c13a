// sanitizer.h - the build with AddressSanitizer (the option SIMT_ASAN): it checks the plain loads and stores of kernels in place of hooks.cpp,
// also those of a thread's own arrays. What it reports becomes the error of the launch.
#pragma once
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

namespace simt {

#if defined(__SANITIZE_ADDRESS__)

// Whether hooks.cpp is told of plain accesses, so that the simulator knows who accessed a word last, and which words were never written.
constexpr bool sees_accesses = false;

void reports_begin();   // a launch begins: from here on reports, and faults of this thread, end up in block.error
void reports_end();

#else

constexpr bool sees_accesses = true;

inline void reports_begin() {}
inline void reports_end() {}

#endif

}  // namespace simt
