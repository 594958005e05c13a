// streams.h - streams, events, captured work.
#pragma once
#include "error.h"
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace simcuda {

using Work = std::function<void()>;

// One recording of an event: done when its stream has come to that position.
struct Recording {
    CUstream stream;
    uint64_t position;
    bool done;
    double seconds;
};

struct Task {
    Work run;                                // may be empty
    std::shared_ptr<Recording> waits_for, records;
};

struct Node {
    Work run;
    std::vector<int> after;                  // nodes that come before
};

// A capture in progress.
struct Capture {
    std::vector<Node> nodes;
    CUstream origin;
    CUstreamCaptureMode mode;
    std::thread::id thread;
    std::set<CUstream> members;
    bool invalid = false;
};

}  // namespace simcuda

struct CUstream_st {
    bool blocking;                           // waits for the default stream, and that one for it
    std::deque<simcuda::Task> queue = {};
    uint64_t submitted = 0, completed = 0;
    std::shared_ptr<simcuda::Capture> capture = {};
    std::vector<int> last = {};              // while capturing: the nodes that the next one follows
};

struct CUevent_st {
    unsigned flags;
    std::shared_ptr<simcuda::Recording> recording = {};
    std::weak_ptr<simcuda::Capture> capture = {};   // recorded in one: an edge of its graph
    std::vector<int> after = {};
    bool captured = false;
};

struct CUgraph_st {
    std::shared_ptr<const std::vector<simcuda::Node>> nodes;
};

struct CUgraphExec_st {
    std::shared_ptr<const std::vector<simcuda::Node>> nodes;
};
