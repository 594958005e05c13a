// memory.h - device memory: one reserved range of addresses, in which every buffer lies between pages that cannot be accessed.
#pragma once
#include "race.h"

namespace simt {

struct Buffer {
    std::string name;
    unsigned char* data = nullptr;
    size_t bytes = 0, first_page = 0, pages = 0;
    Cell* cells = nullptr;                           // one for each four bytes
    std::vector<uint64_t> loaded, stored;            // while tracing: a bit for each two bytes that the launch accessed
};

constexpr size_t arena_bytes = 1ull << 40;           // of addresses: there is memory in buffers only
extern unsigned char* const arena;                   // the reserved range
inline bool in_arena(const void* p) { return (size_t)((const unsigned char*)p - arena) < arena_bytes; }

void* allocate(size_t bytes, const char* name);      // null: no memory left
bool release(void* data);                            // false: not a buffer
const std::vector<Buffer*>& all_buffers();
std::string damaged_band();                          // the first buffer around which something was written; empty for none

// What is wrong with an access to these bytes, which are not, or not all, inside a buffer or the block's shared memory.
std::string misplaced(const void* p, size_t bytes, const char* verb);
constexpr size_t null_bytes = 64 << 10;              // addresses below are the null pointer and an offset

// The buffer that holds the bytes. Fails, with the verb, when they are not all inside one.
Buffer& buffer_of(const void* p, size_t bytes, const char* verb);

// Checks an access of the running thread, or of an asynchronous unit on its behalf, to device memory.
void global_check(const void* p, size_t bytes, Access access);

// One access of the running thread by one instruction: checked and traced.
void global_access(const void* p, unsigned bytes, Access access, const void* instruction);

}  // namespace simt
