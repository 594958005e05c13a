// api_streams.cpp - streams and events.
#include "entry.h"
#include <algorithm>

using namespace simcuda;

namespace {

[[noreturn]] void invalidate(Capture& capture, const char* text) {
    capture.invalid = true;
    fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "%s", text);
}

// An event that the host may ask about.
CUevent_st& outside_capture(Driver& d, CUevent handle) {
    CUevent_st& event = d.events.get(handle);
    if (!event.captured) return event;
    if (auto capture = event.capture.lock()) capture->invalid = true;
    fail(CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a capture");
}

void merge(std::vector<int>& into, const std::vector<int>& from) {
    for (int node : from)
        if (std::find(into.begin(), into.end(), node) == into.end()) into.push_back(node);
}

// The waiting stream joins the event's capture.
void join_capture(Driver& d, CUstream_st& stream, CUevent_st& event) {
    auto capture = event.capture.lock();
    if (!capture) fail(CUDA_ERROR_INVALID_VALUE, "the event was last recorded in a capture that has ended");
    if (&stream == &d.default_stream) {
        capture->invalid = true;
        fail(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "the default stream cannot take part in a capture");
    }
    if (stream.capture && stream.capture != capture) {
        capture->invalid = stream.capture->invalid = true;
        fail(CUDA_ERROR_STREAM_CAPTURE_MERGE, "the stream takes part in another capture");
    }
    stream.capture = capture;
    capture->members.insert(&stream);
    merge(stream.last, event.after);
}

}  // namespace

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
    SIMCUDA_CALL(Needs::context, {
        require(stream, "stream");
        if (flags & ~(unsigned)CU_STREAM_NON_BLOCKING) fail(CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
        *stream = d.streams.create(CUstream_st{.blocking = flags == 0});
    });
}

CUresult cuStreamDestroy_v2(CUstream handle) {
    SIMCUDA_CALL(Needs::context, {
        CUstream_st& stream = d.streams.get(handle);
        if (stream.capture) {
            stream.capture->invalid = true;
            stream.capture->members.erase(handle);
            if (stream.capture->origin == handle) std::erase(d.captures, stream.capture);
            d.streams.destroy(handle);
            fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "a stream was destroyed while it captured");
        }
        d.complete(stream, stream.submitted);
        d.streams.destroy(handle);
    });
}

CUresult cuStreamSynchronize(CUstream handle) {
    SIMCUDA_CALL(Needs::context, {
        CUstream_st& stream = d.stream(handle);
        if (stream.capture) invalidate(*stream.capture, "nobody can wait for a stream that captures");
        d.complete(stream, stream.submitted);
        return d.sticky;
    });
}

CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned flags) {
    SIMCUDA_CALL(Needs::context, {
        CUstream_st& stream = d.stream(handle);
        CUevent_st& event = d.events.get(event_handle);
        if (flags != 0) fail(CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
        if (event.captured) return join_capture(d, stream, event);
        if (stream.capture) {
            stream.capture->invalid = true;
            fail(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "a stream that captures cannot wait for work outside of its capture");
        }
        if (event.recording && !event.recording->done) d.enqueue(stream, {}, event.recording);
    });
}

CUresult cuEventCreate(CUevent* event, unsigned flags) {
    SIMCUDA_CALL(Needs::context, {
        require(event, "event");
        if (flags & ~(unsigned)(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING)) fail(CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
        *event = d.events.create(CUevent_st{.flags = flags});
    });
}

CUresult cuEventDestroy_v2(CUevent event) {
    SIMCUDA_CALL(Needs::context, { d.events.destroy(event); });
}

CUresult cuEventRecord(CUevent event_handle, CUstream handle) {
    SIMCUDA_CALL(Needs::context, {
        CUevent_st& event = d.events.get(event_handle);
        CUstream_st& stream = d.stream(handle);
        event.captured = stream.capture != nullptr;
        event.capture = stream.capture;
        event.after = stream.last;
        if (event.captured) return;
        event.recording = std::make_shared<Recording>(Recording{&stream, stream.submitted, d.runs_now(stream), seconds_now()});
        if (!event.recording->done) d.enqueue(stream, {}, {}, event.recording);
    });
}

CUresult cuEventSynchronize(CUevent handle) {
    SIMCUDA_CALL(Needs::context, {
        auto recording = outside_capture(d, handle).recording;
        if (recording && !recording->done) d.complete(*recording->stream, recording->position);
        return d.sticky;
    });
}

CUresult cuEventQuery(CUevent handle) {
    SIMCUDA_CALL(Needs::context, {
        auto recording = outside_capture(d, handle).recording;
        if (!recording || recording->done) return CUDA_SUCCESS;
        // Who asks often enough gets there in lazy order too.
        d.complete(*recording->stream, recording->stream->completed + 1);
        return d.sticky ? d.sticky : recording->done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
    });
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start_handle, CUevent end_handle) {
    SIMCUDA_CALL(Needs::context, {
        require(milliseconds, "milliseconds");
        CUevent_st& start = outside_capture(d, start_handle);
        CUevent_st& end = outside_capture(d, end_handle);
        if ((start.flags | end.flags) & CU_EVENT_DISABLE_TIMING) fail(CUDA_ERROR_INVALID_HANDLE, "an event was made without timing");
        if (!start.recording || !end.recording) fail(CUDA_ERROR_INVALID_HANDLE, "an event was never recorded");
        if (!start.recording->done || !end.recording->done) return CUDA_ERROR_NOT_READY;
        *milliseconds = (float)((end.recording->seconds - start.recording->seconds) * 1e3);
        return CUDA_SUCCESS;
    });
}
