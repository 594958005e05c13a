// api_graphs.cpp - capture of streams, graphs and their replay.
#include "entry.h"

using namespace simcuda;

namespace {

// Whether all that other streams did in the capture comes before what the stream did last.
bool all_joined(const Capture& capture, const CUstream_st& stream) {
    std::vector<bool> reached(capture.nodes.size());
    std::vector<int> open = stream.last;
    while (!open.empty()) {
        int node = open.back();
        open.pop_back();
        if (reached[node]) continue;
        reached[node] = true;
        for (int before : capture.nodes[node].after) open.push_back(before);
    }
    for (CUstream member : capture.members)
        for (int node : member->last)
            if (!reached[node]) return false;
    return true;
}

void leave_capture(Driver& d, const std::shared_ptr<Capture>& capture) {
    for (CUstream member : capture->members) {
        member->capture = nullptr;
        member->last.clear();
    }
    std::erase(d.captures, capture);
}

}  // namespace

CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
    SIMCUDA_CALL(Needs::context, {
        CUstream_st& stream = d.stream(handle);
        if (&stream == &d.default_stream) fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the default stream cannot be captured");
        if (stream.capture) fail(CUDA_ERROR_ILLEGAL_STATE, "the stream captures already");
        if ((unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED) fail(CUDA_ERROR_INVALID_VALUE, "capture mode %d", (int)mode);
        stream.capture = std::make_shared<Capture>(Capture{{}, handle, mode, std::this_thread::get_id(), {handle}});
        d.captures.push_back(stream.capture);
    });
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
    SIMCUDA_CALL(Needs::context, {
        CUstream_st& stream = d.stream(handle);
        require(graph, "graph");
        *graph = nullptr;
        auto capture = stream.capture;
        if (!capture) fail(CUDA_ERROR_ILLEGAL_STATE, "the stream does not capture");
        if (capture->origin != handle) {
            capture->invalid = true;
            fail(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture began in another stream");
        }
        if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != std::this_thread::get_id())
            fail(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture began in another thread");
        bool joined = all_joined(*capture, stream);
        leave_capture(d, capture);
        if (capture->invalid) fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "an earlier error has made the capture invalid");
        if (!joined) fail(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "the stream has not waited for the work of another one that joined its capture");
        *graph = d.graphs.create(CUgraph_st{std::make_shared<const std::vector<Node>>(std::move(capture->nodes))});
    });
}

CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
    SIMCUDA_CALL(Needs::context, {
        require(status, "status");
        const CUstream_st& stream = d.stream(handle);
        *status = !stream.capture ? CU_STREAM_CAPTURE_STATUS_NONE
            : stream.capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    });
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
    SIMCUDA_CALL(Needs::context, {
        require(executable, "executable graph");
        if (flags != 0) fail(CUDA_ERROR_INVALID_VALUE, "flags %#llx are not simulated", flags);
        *executable = d.executables.create(CUgraphExec_st{d.graphs.get(graph).nodes});
    });
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    SIMCUDA_CALL(Needs::context, {
        auto nodes = d.executables.get(executable).nodes;
        d.submit(d.stream(stream), [&d, nodes] { d.replay(*nodes); });
    });
}

CUresult cuGraphDestroy(CUgraph graph) {
    SIMCUDA_CALL(Needs::context, { d.graphs.destroy(graph); });
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
    SIMCUDA_CALL(Needs::context, { d.executables.destroy(executable); });
}
