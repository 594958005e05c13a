#include "sanitizer.h"
#if defined(__SANITIZE_ADDRESS__)
#include "memory.h"
#include <csignal>
#include <cstring>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

namespace simt {

namespace {

pid_t running_thread = 0;                 // of the operating system, while it is in a launch
std::string outside_kernels;              // a report about the simulator itself
struct sigaction previous_segv, previous_bus;
void* fault_address;
const char* fault_verb;

// Of the report's first stack trace, the innermost frame: "selftest_null /path/selftest.cu:92".
std::string innermost_frame(const char* report) {
    const char* frame = strstr(report, "#0 ");
    frame = frame ? strstr(frame, " in ") : nullptr;
    return frame ? std::string(frame + 4, strcspn(frame + 4, "\n")) : "an unknown place";
}

// The faulty access happens once this returns: a report cannot be left by a jump, the sanitizer holds a lock.
void on_report(const char* report) {
    void* p = __asan_get_report_address();
    std::string text = misplaced(p, __asan_get_report_access_size(), __asan_get_report_access_type() ? "writes" : "reads")
        + " (AddressSanitizer: " + __asan_get_report_description() + " in " + innermost_frame(report) + ")";
    if (!current) {
        if (outside_kernels.empty()) outside_kernels = text;
    } else if (block.error.empty()) {
        block.error = thread_name() + text;
    }
}

[[noreturn]] void fail_at_fault() { fail("%s", misplaced(fault_address, 1, fault_verb).c_str()); }

void on_fault(int signal, siginfo_t* info, void* context) {
    if (syscall(SYS_gettid) != running_thread || !current) {   // not a kernel's: the host's runtime may expect it
        struct sigaction& previous = signal == SIGSEGV ? previous_segv : previous_bus;
        if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(signal, info, context);
        if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
        ::signal(signal, SIG_DFL);
        return;
    }
    // The fiber never goes on: what its stack holds is not needed any more, even if the fault is an overflow of it.
    fault_address = info->si_addr;
    ASAN_UNPOISON_MEMORY_REGION(current->stack, stack_bytes);
    auto& registers = ((ucontext_t*)context)->uc_mcontext.gregs;
    constexpr greg_t write_fault = 2;   // in the error code of x86's page fault; how many bytes there would have been is not known
    fault_verb = registers[REG_ERR] & write_fault ? "writes" : "reads";
    registers[REG_RSP] = (greg_t)(current->stack + stack_bytes) - 8;   // as after a call
    registers[REG_RIP] = (greg_t)&fail_at_fault;
}

void install() {
    static bool installed = false;
    if (installed) return;
    installed = true;
    __asan_set_error_report_callback(on_report);
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, &previous_segv);
    sigaction(SIGBUS, &action, &previous_bus);
}

}  // namespace

void reports_begin() {
    install();
    running_thread = (pid_t)syscall(SYS_gettid);
}

void reports_end() {
    running_thread = 0;
    if (block.error.empty()) std::swap(block.error, outside_kernels);
    if (block.error.empty()) return;
    // Frames that were abandoned have left their red zones.
    for (const Fiber& fiber : block.fibers) ASAN_UNPOISON_MEMORY_REGION(fiber.stack, stack_bytes);
}

}  // namespace simt
#endif
