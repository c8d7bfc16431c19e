#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace octavo::cuda::emulation {
namespace {

// Reserved, not used: pages that a kernel never touches take no memory.
constexpr size_t kStackBytes = size_t{256} << 10;

class Stack {
 public:
  Stack()
      : data_(mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (data_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~Stack() { munmap(data_, kStackBytes); }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  uint8_t* begin() const { return static_cast<uint8_t*>(data_); }
  uint8_t* end() const { return begin() + kStackBytes; }

 private:
  void* data_;
};

}  // namespace

#if defined(__x86_64__)

// swapcontext asks the kernel to save the signal mask, twenty times the cost of the switch itself.
extern "C" void OctavoSwitchStack(void** from, void* to);
asm(R"(
.text
.p2align 4
.hidden OctavoSwitchStack
.globl OctavoSwitchStack
.type OctavoSwitchStack, @function
OctavoSwitchStack:
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
.size OctavoSwitchStack, .-OctavoSwitchStack
)");

struct Fiber::Context {
  Stack stack;
  void* suspended = nullptr;
  void* resumer = nullptr;
  void (*entry)(void*) = nullptr;
  void* argument = nullptr;

  static void Enter();
};

namespace {
thread_local void* entering = nullptr;  // the context whose first Resume is under way
}

void Fiber::Context::Enter() {
  auto* context = static_cast<Context*>(entering);
  context->entry(context->argument);
  __builtin_trap();
}

void Fiber::Start(void (*entry)(void*), void* argument) {
  constexpr int kSavedRegisters = 6;
  context_->entry = entry;
  context_->argument = argument;
  auto** top = reinterpret_cast<void**>(context_->stack.end());
  *--top = nullptr;  // where Enter would return to; it also aligns the stack as a call does
  *--top = reinterpret_cast<void*>(&Context::Enter);
  context_->suspended = top - kSavedRegisters;
}

void Fiber::Resume() {
  entering = context_.get();
  OctavoSwitchStack(&context_->resumer, context_->suspended);
}

void Fiber::Suspend() { OctavoSwitchStack(&context_->suspended, context_->resumer); }

#else

struct Fiber::Context {
  Stack stack;
  ucontext_t suspended, resumer;
  void (*entry)(void*) = nullptr;
  void* argument = nullptr;

  static void Enter(unsigned high, unsigned low) {
    auto* context = reinterpret_cast<Context*>(uintptr_t{high} << 32 | low);
    context->entry(context->argument);
  }
};

void Fiber::Start(void (*entry)(void*), void* argument) {
  Context* context = context_.get();
  context->entry = entry;
  context->argument = argument;
  getcontext(&context->suspended);
  context->suspended.uc_stack.ss_sp = context->stack.begin();
  context->suspended.uc_stack.ss_size = kStackBytes;
  context->suspended.uc_link = nullptr;
  const auto address = reinterpret_cast<uintptr_t>(context);
  makecontext(&context->suspended, reinterpret_cast<void (*)()>(&Context::Enter), 2,
              static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
}

void Fiber::Resume() { swapcontext(&context_->resumer, &context_->suspended); }
void Fiber::Suspend() { swapcontext(&context_->suspended, &context_->resumer); }

#endif

Fiber::Fiber() : context_(std::make_unique<Context>()) {}
Fiber::~Fiber() = default;

}  // namespace octavo::cuda::emulation
