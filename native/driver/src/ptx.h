// ptx.h - the declarations in PTX text. Of the bodies only static shared memory is read.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace simcuda::ptx {

enum class Kind { integer, floating, bytes };        // a pointer is an integer of 64 bits

struct Parameter {
    uint32_t bytes, alignment;
    Kind kind;
    std::string text;
};

struct Entry {
    std::string name;
    std::vector<Parameter> parameters;
    uint32_t max_threads[3] = {0, 0, 0};             // .maxntid or .reqntid; zeros: not given
    bool exact = false;                              // .reqntid: not at most but exactly so many
    uint32_t static_shared_bytes = 0;
};

struct Module {
    int version = 0;                                 // 84: 8.4
    std::string target;                              // sm_80
    std::vector<Entry> entries;
    std::vector<std::pair<std::string, std::string>> sources;   // "// source: name digest": the files that it was compiled from
};

// Throws std::runtime_error, with the line.
Module parse(std::string_view text);

}  // namespace simcuda::ptx
