#include "memory.h"
#include "sanitizer.h"
#include "shared.h"
#include "trace.h"
#include <cstring>
#include <sys/mman.h>

namespace simt {

unsigned dynamic_bytes = 0;

namespace {

struct SharedCell { Cell cell; uint8_t initialised = 0; };
std::vector<SharedCell> dynamic_cells(dynamic_limit / 4), static_cells;
std::vector<Chunk> chunks(dynamic_limit / chunk_bytes);

unsigned char* reserve() {   // between pages that cannot be accessed
    constexpr size_t page = 4096;
    auto* p = (unsigned char*)mmap(nullptr, dynamic_limit + 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    mprotect(p + page, (dynamic_limit + page - 1) / page * page, PROT_READ | PROT_WRITE);
    return p + page;
}

std::string cell_name(const void* object, size_t offset) {
    return (object ? "static shared memory at byte " : "dynamic shared memory at byte ") + std::to_string(offset);
}

SharedCell& fresh(SharedCell& s) {   // what other blocks did to the word does not count
    if (s.cell.block != block.serial) {
        s.cell.block = 0;
        s.cell.writer = -1;
        s.initialised = 0;
    }
    if (s.cell.read_block != block.serial) {
        s.cell.read_block = 0;
        s.cell.readers = 0;
    }
    return s;
}

unsigned checked(shared_addr address, unsigned bytes, const char* what) {
    if (address < window_start || address - window_start + bytes > dynamic_bytes)
        fail("%s: %u bytes at shared address 0x%x are outside the %u bytes of the block's dynamic shared memory", what, bytes, address, dynamic_bytes);
    return address - window_start;
}

}  // namespace

unsigned char* const dynamic_base = reserve();

void shared_begin(unsigned bytes) {
    dynamic_bytes = bytes;
    ASAN_UNPOISON_MEMORY_REGION(dynamic_base, dynamic_limit);
    memset(dynamic_base, 0xff, bytes);                                       // every number in it is a NaN
    ASAN_POISON_MEMORY_REGION(dynamic_base + bytes, dynamic_limit - bytes);
    std::fill_n(chunks.begin(), bytes / chunk_bytes + 1, Chunk{});
    size_t static_bytes = __stop_simt_shared - __start_simt_shared;
    // Not memset: AddressSanitizer would report the red zones between the arrays.
    unsigned char* p = __start_simt_shared;
    size_t left = static_bytes;
    asm volatile("rep stosb" : "+D"(p), "+c"(left) : "a"(0xff) : "memory");
    static_cells.resize((static_bytes + 3) / 4);
}

unsigned char* dynamic_shared() { return dynamic_base; }

shared_addr shared_address(const void* p) {
    if (!in_dynamic(p)) fail("%p is not in dynamic shared memory", p);
    return (shared_addr)((const unsigned char*)p - dynamic_base) + window_start;
}

void* shared_pointer(shared_addr address, unsigned bytes) { return dynamic_base + checked(address, bytes, "access"); }

std::string address_name(shared_addr address) { return cell_name(nullptr, address - window_start); }

void shared_access(const void* p, unsigned bytes, Access access, const void* instruction) {
    bool dynamic = in_dynamic(p);
    size_t offset = (const unsigned char*)p - (dynamic ? dynamic_base : __start_simt_shared);
    const char* verb = access == Access::read ? "reads" : "writes";
    if (dynamic && offset + bytes > dynamic_bytes) fail("%s", misplaced(p, bytes, verb).c_str());
    if (offset % bytes) fail("misaligned access: %s %u bytes at byte %zu of shared memory", verb, bytes, offset);
    const void* object = dynamic ? nullptr : __start_simt_shared;
    if (dynamic)
        for (size_t c = offset / chunk_bytes; c <= (offset + bytes - 1) / chunk_bytes; c++) {
            if (chunks[c].arriving) fail("%s %s, where an asynchronous copy has not arrived (missing wait?)", verb, cell_name(object, offset).c_str());
            if (chunks[c].reading && access != Access::read)
                fail("writes %s, which an asynchronous operation still reads", cell_name(object, offset).c_str());
        }
    for (unsigned done = 0; done < bytes; done += 4) {
        SharedCell& s = fresh((dynamic ? dynamic_cells : static_cells)[(offset + done) / 4]);
        uint8_t part = bytes >= 4 ? 0xf : ((1u << bytes) - 1) << (offset & 3);
        if (sees_accesses && access != Access::write && (s.initialised & part) != part)
            fail("reads %s, which was never written", cell_name(object, offset + done).c_str());
        check_access(s.cell, access, part, cell_name, object, offset + done);
        if (access != Access::read) s.initialised |= part;
    }
    if (tracing) trace_access(p, bytes, access, instruction);
}

Chunk& chunk_at(shared_addr address) { return chunks[(address - window_start) / chunk_bytes]; }

void asynchronous_read(shared_addr address, unsigned bytes, const char* what) {
    unsigned offset = checked(address, bytes, what);
    for (unsigned c = offset / chunk_bytes; c <= (offset + bytes - 1) / chunk_bytes; c++)
        if (chunks[c].arriving) fail("%s reads %s, where an asynchronous copy has not arrived (missing wait?)", what, address_name(address).c_str());
    for (unsigned o = offset; o < offset + bytes; o += 4) {
        SharedCell& s = fresh(dynamic_cells[o / 4]);
        if (sees_accesses && s.initialised != 0xf) fail("%s reads %s, which was never written", what, cell_name(nullptr, o).c_str());
        Cell& cell = s.cell;
        if (sees_accesses && cell.writer < block.threads && block.fibers[cell.writer].proxy_fences <= cell.fences)
            fail("%s reads %s, which thread %d wrote without a fence.proxy.async after it", what, cell_name(nullptr, o).c_str(), cell.writer);
        check_order(cell, Access::read, 0xf, cell_name, nullptr, o);
    }
}

void asynchronous_read_done(shared_addr address, unsigned bytes) {
    unsigned offset = address - window_start;
    for (unsigned o = offset; o < offset + bytes; o += 4) check_access(fresh(dynamic_cells[o / 4]).cell, Access::read, 0xf, cell_name, nullptr, o);
}

void product_read(shared_addr address, unsigned bytes, int warp, uint32_t stamp) {
    unsigned offset = address - window_start;
    for (unsigned o = offset; o < offset + bytes; o += 4) product_read(fresh(dynamic_cells[o / 4]).cell, warp, stamp);
}

void asynchronous_write(shared_addr address, unsigned bytes, const char* what, Proxy proxy) {
    unsigned offset = checked(address, bytes, what);
    for (unsigned c = offset / chunk_bytes; c <= (offset + bytes - 1) / chunk_bytes; c++) {
        if (chunks[c].arriving) fail("%s overwrites %s, where another asynchronous copy has not arrived", what, address_name(address).c_str());
        if (chunks[c].reading) fail("%s overwrites %s, which an asynchronous operation still reads", what, address_name(address).c_str());
    }
    for (unsigned o = offset; o < offset + bytes; o += 4) {
        SharedCell& s = fresh(dynamic_cells[o / 4]);
        const Cell& cell = s.cell;
        if (proxy == Proxy::asynchronous && cell.writer >= 0 && cell.writer < block.threads && block.fibers[cell.writer].proxy_fences <= cell.fences)
            fail("%s overwrites %s, which thread %d wrote without a fence.proxy.async after it", what, cell_name(nullptr, o).c_str(), cell.writer);
        check_access(s.cell, Access::write, 0xf, cell_name, nullptr, o);
        s.initialised = 0xf;
    }
}

void copy_unit_wrote(shared_addr address, unsigned bytes, uint32_t stamp) {
    unsigned offset = address - window_start;
    for (unsigned o = offset; o < offset + bytes; o += 4) {
        Cell& cell = dynamic_cells[o / 4].cell;
        cell.block = block.serial;
        cell.epoch = block.epoch;
        cell.stamp = stamp;
        cell.writer = (int16_t)block.threads;
        cell.bytes = 0xf;
        cell.atomic = false;
        cell.readers = 0;
        cell.more_readers = -1;
        cell.read_block = 0;
    }
}

}  // namespace simt
