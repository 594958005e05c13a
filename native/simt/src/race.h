// race.h - a happens-before check for every word of shared and global memory.
//
// A warp counts its releases (barriers, arrivals at an mbarrier, __syncwarp). An access is stamped with its thread and that count; a
// thread that acquires learns, for each other thread, the count up to which it has been released to it. Two accesses of which one writes
// are a race unless the second thread knows the stamp of the first, or a __syncthreads lies between them (Lamport 1978; for one thread's
// accesses and vectors of clocks as here, Flanagan and Freund, "FastTrack", 2009). So a missing barrier is found whatever the order of
// execution happened to be.
#pragma once
#include "core.h"

namespace simt {

// What is known of each thread of the block, then of the asynchronous copy unit, then of the products of each warp; empty: nothing.
using Known = std::vector<uint32_t>;

void release_into(Known& known);                             // by the running thread
void acquire_from(const Known& known, Fiber& fiber);
void order_lanes(int warp, uint32_t mask);                   // __syncwarp: each lane releases to and acquires from all
void forget_clocks();                                        // __syncthreads: everything before it is known to all
void copy_unit_wrote(shared_addr address, unsigned bytes, uint32_t stamp);   // shared.cpp: an asynchronous copy has arrived
uint32_t copy_unit_release(Known& known);                   // the stamp that such a copy releases
void acquire_products(int warp, uint32_t stamp);             // wgmma.wait_group: the warp's products up to this one have read

enum class Access { read, write, atomic };

extern bool races_are_checked;   // of device memory: where bytes lie is checked in any case

// An access of the running thread to a word of memory. The object that holds the memory passes its cells, one for four bytes.
struct Cell {
    uint32_t block = 0;              // serial of the block that wrote last; another block's is stale in shared memory
    uint32_t epoch = 0, stamp = 0, fences = 0;
    int16_t writer = -1;
    uint8_t bytes = 0;               // of the word that were written
    bool atomic = false;
    uint32_t read_block = 0, read_epoch = 0, read_stamp = 0, readers = 0;   // lanes of one warp that read with one stamp
    int16_t read_warp = -1;
    bool read_by_blocks = false;     // by more than one
    int32_t more_readers = -1;       // index into a pool of readers with other stamps
};

// What a race is called in the error: the memory and the offset in it.
using Name = std::string (*)(const void* object, size_t offset);
void check_access(Cell& cell, Access access, uint8_t bytes, Name name, const void* object, size_t offset);

// A read by a product of a warp, by its number: whoever overwrites the word must know that the warp has waited for it.
void product_read(Cell& cell, int warp, uint32_t stamp);

// Only the first half of a read: that nothing races with it so far, not that it happened.
void check_order(const Cell& cell, Access access, uint8_t bytes, Name name, const void* object, size_t offset);

}  // namespace simt
