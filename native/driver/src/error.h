// error.h - what is wrong with a call: a code for the caller and a sentence for whoever looks for the reason.
#pragma once
#include "cuda_abi.h"
#include <string>

namespace simcuda {

struct Error {
    CUresult code;
    std::string text;
};

std::string format(const char* text, ...) __attribute__((format(printf, 1, 2), visibility("default")));

// Throws an Error.
[[noreturn]] void fail(CUresult code, const char* text, ...) __attribute__((format(printf, 2, 3), visibility("default")));

// Whether a card that reports this code does no more work for the process.
bool is_sticky(CUresult code);

}  // namespace simcuda
