// handles.h - the objects behind a kind of handle.
#pragma once
#include "error.h"
#include <algorithm>
#include <new>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace simcuda {

// An object's memory is kept when it is destroyed, so that its address is no other object's and a late use is noticed.
template <class T> class Handles {
public:
    explicit Handles(const char* kind) : kind_(kind) {}

    template <class... A> T* create(A&&... arguments) {
        T* object = new (::operator new(sizeof(T), std::align_val_t(alignof(T)))) T(std::forward<A>(arguments)...);
        live_.emplace(object, ++created_);
        return object;
    }

    bool is_live(T* handle) const { return live_.contains(handle); }

    // The object, or the error that a card gives for a handle that is none.
    T& get(T* handle) const {
        if (live_.contains(handle)) return *handle;
        if (destroyed_.contains(handle)) fail(CUDA_ERROR_INVALID_HANDLE, "the %s was destroyed", kind_);
        fail(CUDA_ERROR_INVALID_HANDLE, "%p is no %s", (const void*)handle, kind_);
    }

    void destroy(T* handle) {
        get(handle);
        live_.erase(handle);
        destroyed_.insert(handle);
        handle->~T();
    }

    // In the order of their creation.
    std::vector<T*> all() const {
        std::vector<std::pair<uint64_t, T*>> numbered;
        for (auto& [object, number] : live_) numbered.emplace_back(number, object);
        std::sort(numbered.begin(), numbered.end());
        std::vector<T*> objects;
        for (auto& [number, object] : numbered) objects.push_back(object);
        return objects;
    }

    uint64_t number(T* handle) const { return live_.at(handle); }
    const char* kind() const { return kind_; }
    size_t count() const { return live_.size(); }

    void destroy_all() {
        for (T* object : all()) destroy(object);
    }
    void restart_numbers() { created_ = 0; }

private:
    const char* kind_;
    uint64_t created_ = 0;
    std::unordered_map<T*, uint64_t> live_;
    std::unordered_set<const void*> destroyed_;
};

}  // namespace simcuda
