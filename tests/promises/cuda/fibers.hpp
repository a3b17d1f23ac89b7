// Fibers: flows of control with stacks of their own, between which one thread switches by hand.
//
// A switch leaves the registers that a function must keep on the stack that is left, and takes those of the other stack. With
// -fsanitize=thread each fiber is a thread in ThreadSanitizer's eyes, and a switch alone orders no memory.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <sys/mman.h>

#if defined(__SANITIZE_THREAD__)
#define EMULATED_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EMULATED_TSAN 1
#endif
#endif

#ifdef EMULATED_TSAN
extern "C" {
void* __tsan_get_current_fiber(void);
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#else
inline void* __tsan_get_current_fiber() { return nullptr; }
inline void* __tsan_create_fiber(unsigned) { return nullptr; }
inline void __tsan_destroy_fiber(void*) {}
inline void __tsan_switch_to_fiber(void*, unsigned) {}
inline void __tsan_acquire(void*) {}
inline void __tsan_release(void*) {}
#endif
constexpr unsigned ORDERS_NO_MEMORY = 1;

// The emulator's own reads and writes are not judged.
#define UNSEEN __attribute__((no_sanitize("thread")))

constexpr size_t STACK = 1 << 17, GUARD = 1 << 12;

UNSEEN inline unsigned char* new_stack() {
    void* memory = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, GUARD, PROT_NONE)) abort();
    return (unsigned char*)memory + GUARD;
}

#if defined(__x86_64__) && !defined(EMULATED_PORTABLE)

// Push the registers that the System V convention keeps, exchange the stack pointer, pop, and return on the new stack.
extern "C" void emulated_switch(void** from, void* to);
asm(R"(
.text
.type emulated_switch,@function
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulated_switch,.-emulated_switch
)");

struct Context {
    void* top;
    // From now on a switch to this context runs `body`, which must never return, on `stack`.
    UNSEEN void start(unsigned char* stack, void (*body)()) {
        void** place = (void**)(stack + STACK);
        *--place = nullptr;  // keeps the stack aligned as after a call
        *--place = (void*)body;
        for (int kept = 0; kept < 6; ++kept) *--place = nullptr;
        top = place;
    }
    UNSEEN void leave_for(Context& other) { emulated_switch(&top, other.top); }
};

#else

#include <ucontext.h>

struct Context {
    ucontext_t registers;
    UNSEEN void start(unsigned char* stack, void (*body)()) {
        getcontext(&registers);
        registers.uc_stack.ss_sp = stack;
        registers.uc_stack.ss_size = STACK;
        registers.uc_link = nullptr;
        makecontext(&registers, body, 0);
    }
    UNSEEN void leave_for(Context& other) { swapcontext(&registers, &other.registers); }
};

#endif

struct Fiber {
    Context context;
    unsigned char* stack;  // none for the thread's own
    void* seen;            // what ThreadSanitizer calls it

    UNSEEN void start(void (*body)()) {
        if (!stack) stack = new_stack();
        seen = __tsan_create_fiber(0);
        context.start(stack, body);
    }
    UNSEEN void forget() { __tsan_destroy_fiber(seen); }
    UNSEEN void leave_for(Fiber& other) {
        __tsan_switch_to_fiber(other.seen, ORDERS_NO_MEMORY);
        context.leave_for(other.context);
    }
};
