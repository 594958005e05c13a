// streams.cpp - when work runs.
#include "driver.h"

namespace simcuda {

CUstream_st& Driver::stream(CUstream handle) {
    const auto legacy = (CUstream)1;             // CU_STREAM_LEGACY, another name of the default stream
    return handle == nullptr || handle == legacy ? default_stream : streams.get(handle);
}

void Driver::set_sticky(CUresult code, const std::string& text) {
    if (sticky) return;
    sticky = code;
    message = text;
    print(format("error %d: %s", (int)code, text.c_str()));
}

// Into the graph that is being captured, or into the stream's queue, which in eager order is worked off at once.
void Driver::enqueue(CUstream_st& stream, Work work, std::shared_ptr<Recording> waits_for, std::shared_ptr<Recording> records) {
    if (stream.capture) {
        if (stream.capture->invalid) fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "an earlier error has made the capture invalid");
        auto& nodes = stream.capture->nodes;
        nodes.push_back({std::move(work), stream.last});
        stream.last = {(int)nodes.size() - 1};
        return;
    }
    if (&stream == &default_stream) {
        // Work of the default stream runs when all that was submitted to blocking streams has, and before all that will be.
        for (CUstream other : streams.all()) {
            if (!other->blocking) continue;
            if (other->capture) {
                other->capture->invalid = true;
                fail(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "the default stream is used while a blocking stream captures");
            }
            complete(*other, other->submitted);
        }
    }
    stream.submitted++;
    if (records) records->position = stream.submitted;
    stream.queue.push_back({std::move(work), std::move(waits_for), std::move(records)});
    if (settings.order == SIMCUDA_EAGER || &stream == &default_stream) complete(stream, stream.submitted);
}

void Driver::run_front(CUstream_st& stream) {
    Task task = std::move(stream.queue.front());
    stream.queue.pop_front();
    if (task.run) run(task.run);
    if (task.records) {
        task.records->done = true;
        task.records->seconds = seconds_now();
    }
    stream.completed++;
}

// One task of a stream that waits for nobody; false if there is none.
bool Driver::run_step_of_another(CUstream_st& stream) {
    std::vector<CUstream> ready;
    for (CUstream other : streams.all()) {
        if (other == &stream || other->queue.empty()) continue;
        const auto& waits_for = other->queue.front().waits_for;
        if (!waits_for || waits_for->done) ready.push_back(other);
    }
    if (ready.empty()) return false;
    run_front(*ready[random() % ready.size()]);
    return true;
}

// Runs what the stream has up to the position, and before it what that waits for.
void Driver::complete(CUstream_st& stream, uint64_t position) {
    while (stream.completed < position) {
        if (settings.seed != 0 && random() % 2 == 0 && run_step_of_another(stream)) continue;
        if (auto waits_for = stream.queue.front().waits_for; waits_for && !waits_for->done) {
            complete(*waits_for->stream, waits_for->position);
            continue;                            // which may have come back to this stream
        }
        run_front(stream);
    }
}

void Driver::complete_all() {
    complete(default_stream, default_stream.submitted);
    for (CUstream stream : streams.all()) complete(*stream, stream->submitted);
}

// In the order of the capture, or with a seed in any that the edges allow.
void Driver::replay(const std::vector<Node>& nodes) {
    if (settings.seed == 0) {
        for (const Node& node : nodes)
            if (node.run) node.run();
        return;
    }
    std::vector<size_t> missing(nodes.size());
    std::vector<std::vector<int>> followers(nodes.size());
    std::vector<int> ready;
    for (size_t i = 0; i < nodes.size(); i++) {
        missing[i] = nodes[i].after.size();
        for (int before : nodes[i].after) followers[before].push_back((int)i);
        if (missing[i] == 0) ready.push_back((int)i);
    }
    while (!ready.empty()) {
        std::swap(ready[random() % ready.size()], ready.back());
        int chosen = ready.back();
        ready.pop_back();
        if (nodes[chosen].run) nodes[chosen].run();
        for (int follower : followers[chosen])
            if (--missing[follower] == 0) ready.push_back(follower);
    }
}

void Driver::invalidate_captures() {
    for (auto& capture : captures) {
        bool forbids = capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL
            || (capture->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && capture->thread == std::this_thread::get_id());
        if (!forbids) continue;
        capture->invalid = true;
        fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "this call is not allowed while a stream captures");
    }
}

}  // namespace simcuda
