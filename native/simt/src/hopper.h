// hopper.h - the asynchronous machinery of sm_90: mbarrier.cpp, tma.cpp, wgmma.cpp. Everything asynchronous finishes as late as the program
// allows, or, with a random order, at a random moment.
#pragma once
#include "shared.h"

namespace simt {

// An mbarrier's state is kept here; its 8 bytes in shared memory hold a cookie that must not change.
void mbarrier_complete(uint64_t* barrier, unsigned bytes, const Known& known);   // an asynchronous copy arrived
void mbarrier_ready_for_copies(uint64_t* barrier);                               // fails when its initialisation was not fenced
void mbarriers_begin();
void copies_begin();
void copies_end();
void wgmma_begin();
void wgmma_end();

// The 128-byte swizzle and its smaller relatives: `bits` address bits from bit 4 are XORed with those from bit 7.
inline unsigned swizzled(unsigned address, unsigned bits) { return address ^ ((address >> 7 & ((1u << bits) - 1)) << 4); }

}  // namespace simt
