#include "memory.h"
#include "sanitizer.h"
#include "shared.h"
#include "trace.h"
#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <sys/mman.h>

namespace simt {

namespace {

constexpr size_t page_bytes = 4096;
constexpr size_t band_bytes = 256;           // before and behind every buffer; also what a buffer is aligned to
constexpr unsigned char band_pattern = 0xa5;

std::vector<Buffer*> buffers;
std::vector<Buffer*> page_owner;             // null: guard pages and free ones
std::map<size_t, std::deque<size_t>> free_runs;     // by length: first pages, the one that was freed first in front
size_t next_page = 1;

// 0: none left. A guard page follows each run. Addresses are given out again as late as possible, so that a late use of freed memory is noticed.
size_t take_pages(size_t count) {
    if ((next_page + count + 1) * page_bytes > arena_bytes) {
        auto run = free_runs.find(count);
        if (run == free_runs.end() || run->second.empty()) return 0;
        size_t first = run->second.front();
        run->second.pop_front();
        return first;
    }
    size_t first = next_page;
    next_page += count + 1;
    page_owner.resize(next_page);
    return first;
}

std::string word_name(const void* object, size_t offset) {
    return "byte " + std::to_string(offset) + " of buffer '" + ((const Buffer*)object)->name + "'";
}

}  // namespace

unsigned char* const arena = (unsigned char*)mmap(nullptr, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

const std::vector<Buffer*>& all_buffers() { return buffers; }

void* allocate(size_t bytes, const char* name) {
    if (bytes > arena_bytes) return nullptr;
    size_t pages = (bytes + 2 * band_bytes + page_bytes - 1) / page_bytes, first = take_pages(pages);
    if (first == 0) return nullptr;
    unsigned char* start = arena + first * page_bytes;
    if (mprotect(start, pages * page_bytes, PROT_READ | PROT_WRITE) != 0) return nullptr;
    auto* buffer = new Buffer{.name = name, .data = start + band_bytes, .bytes = bytes, .first_page = first, .pages = pages, .loaded = {}, .stored = {}};
    memset(start, band_pattern, band_bytes);   // the rest is zeros: the pages are new, or were given back
    memset(buffer->data + bytes, band_pattern, pages * page_bytes - band_bytes - bytes);
    ASAN_POISON_MEMORY_REGION(start - page_bytes, (pages + 2) * page_bytes);   // the guard pages too
    ASAN_UNPOISON_MEMORY_REGION(buffer->data, bytes);
    size_t cell_bytes = (bytes + 3) / 4 * sizeof(Cell);
    if (cell_bytes) {                        // untouched pages cost nothing; a cell of zeros belongs to no block
        void* cells = mmap(nullptr, cell_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        buffer->cells = cells == MAP_FAILED ? nullptr : (Cell*)cells;
    }
    std::fill_n(page_owner.begin() + first, pages, buffer);
    buffers.push_back(buffer);
    return buffer->data;
}

bool release(void* data) {
    auto found = std::find_if(buffers.begin(), buffers.end(), [&](Buffer* b) { return b->data == data; });
    if (found == buffers.end()) return false;
    Buffer* buffer = *found;
    buffers.erase(found);
    unsigned char* start = arena + buffer->first_page * page_bytes;
    ASAN_UNPOISON_MEMORY_REGION(start, buffer->pages * page_bytes);
    madvise(start, buffer->pages * page_bytes, MADV_DONTNEED);
    mprotect(start, buffer->pages * page_bytes, PROT_NONE);
    std::fill_n(page_owner.begin() + buffer->first_page, buffer->pages, nullptr);
    free_runs[buffer->pages].push_back(buffer->first_page);
    if (buffer->cells) munmap(buffer->cells, (buffer->bytes + 3) / 4 * sizeof(Cell));
    delete buffer;
    return true;
}

std::string damaged_band() {
    for (Buffer* b : buffers) {
        unsigned char* start = arena + b->first_page * page_bytes;
        unsigned char* end = start + b->pages * page_bytes;
        ASAN_UNPOISON_MEMORY_REGION(start, end - start);
        auto intact = [](unsigned char v) { return v == band_pattern; };
        bool before = std::all_of(start, b->data, intact), behind = std::all_of(b->data + b->bytes, end, intact);
        ASAN_POISON_MEMORY_REGION(start, end - start);
        ASAN_UNPOISON_MEMORY_REGION(b->data, b->bytes);
        if (!before || !behind) return std::string("memory ") + (before ? "behind" : "before") + " buffer '" + b->name + "' was written";
    }
    return "";
}

std::string misplaced(const void* p, size_t bytes, const char* verb) {
    std::string access = std::string(verb) + " " + std::to_string(bytes) + " bytes at ";
    char address[32];
    snprintf(address, sizeof address, "%p", p);
    if (in_dynamic(p))
        return access + "byte " + std::to_string((const unsigned char*)p - dynamic_base) + " of dynamic shared memory, of which the block has "
            + std::to_string(dynamic_bytes);
    if (in_static(p)) return access + "byte " + std::to_string((const unsigned char*)p - __start_simt_shared) + " of static shared memory, outside its arrays";
    if ((uintptr_t)p < null_bytes) return access + "the null pointer plus " + std::to_string((uintptr_t)p);
    if (!in_arena(p)) return access + address + ", which is not device memory";
    size_t page = ((const unsigned char*)p - arena) / page_bytes;
    const Buffer* b = nullptr;
    for (size_t near : {page, page - 1, page + 1})   // guard pages belong to their neighbours
        if (!b && near < page_owner.size()) b = page_owner[near];
    if (!b) return access + address + ", where no buffer is (freed?)";
    ptrdiff_t offset = (const unsigned char*)p - b->data;
    return access + "offset " + std::to_string(offset) + " of buffer '" + b->name + "', which has " + std::to_string(b->bytes) + " bytes";
}

Buffer& buffer_of(const void* p, size_t bytes, const char* verb) {
    size_t page = in_arena(p) ? ((const unsigned char*)p - arena) / page_bytes : 0;
    Buffer* b = page < page_owner.size() ? page_owner[page] : nullptr;
    if (!b || (const unsigned char*)p < b->data || (const unsigned char*)p + bytes > b->data + b->bytes) fail("%s", misplaced(p, bytes, verb).c_str());
    return *b;
}

void global_check(const void* p, size_t bytes, Access access) {
    Buffer& b = buffer_of(p, bytes, access == Access::read ? "reads" : "writes");
    if (!races_are_checked) return;
    size_t offset = (const unsigned char*)p - b.data, end = offset + bytes;
    for (size_t word = offset / 4; word * 4 < end; word++) {
        uint8_t part = 0xf;
        if (word * 4 < offset) part &= 0xf << (offset - word * 4);
        if (word * 4 + 4 > end) part &= 0xf >> (word * 4 + 4 - end);
        check_access(b.cells[word], access, part, word_name, &b, word * 4);
    }
}

void global_access(const void* p, unsigned bytes, Access access, const void* instruction) {
    if ((uintptr_t)p % bytes) fail("misaligned access of %u bytes at %p", bytes, p);
    global_check(p, bytes, access);
    if (tracing) trace_access(p, bytes, access, instruction);
}

}  // namespace simt
