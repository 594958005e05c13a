// shared.h - shared memory of the running block, its window of 32-bit addresses, and what is known of each word.
#pragma once
#include "race.h"

namespace simt {

// The device keeps the first KiB of the window for itself. 227 KiB is what a block of sm_90 can have.
constexpr unsigned window_start = 1024, dynamic_limit = 227 << 10;
constexpr unsigned chunk_bytes = 8;              // the smallest asynchronous copy

extern unsigned char* const dynamic_base;
extern unsigned dynamic_bytes;                   // of this block
extern "C" __attribute__((visibility("hidden"), weak)) unsigned char __start_simt_shared[], __stop_simt_shared[];

inline bool in_dynamic(const void* p) { return (size_t)((const unsigned char*)p - dynamic_base) < dynamic_limit; }
inline bool in_static(const void* p) { return (const unsigned char*)p >= __start_simt_shared && (const unsigned char*)p < __stop_simt_shared; }

// An access of the running thread, by pointer.
void shared_access(const void* p, unsigned bytes, Access access, const void* instruction);

// Of each 8 bytes: how many asynchronous writes are still to arrive, and how many asynchronous operations still read.
struct Chunk { uint16_t arriving = 0, reading = 0; };
Chunk& chunk_at(shared_addr address);

// The asynchronous units read shared memory: fails when the bytes are still arriving, were never written, were written by ordinary stores
// without a fence.proxy.async by the thread that wrote them, or when nothing orders that write before the running thread.
void asynchronous_read(shared_addr address, unsigned bytes, const char* what);
void asynchronous_read_done(shared_addr address, unsigned bytes);         // ... and have done so, for the running thread
void product_read(shared_addr address, unsigned bytes, int warp, uint32_t stamp);   // ... for a product that a warp has waited for
// An asynchronous write may happen from now on. TMA's fails, like a read, where ordinary stores were not fenced; cp.async is an ordinary one.
enum class Proxy { generic, asynchronous };
void asynchronous_write(shared_addr address, unsigned bytes, const char* what, Proxy proxy);
std::string address_name(shared_addr address);

}  // namespace simt
