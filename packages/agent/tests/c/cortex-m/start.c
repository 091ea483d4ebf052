/*
 * Test code: the vectors on a Cortex-M without an operating system, in QEMU. What is printed goes out by semihosting;
 * the stack is painted before, so that the deepest place that was written to is seen after.
 */
#include "../../../c/vectors/run.h"
#include "../sha256.h"

extern uint32_t data_start, data_end, data_load, bss_start, bss_end, stack_bottom, stack_top;
void reset(void);
static void halt(void);

#define SYS_WRITE0 0x04
#define SYS_EXIT 0x18
#define STOPPED_AS_IT_SHOULD 0x20026
#define STOPPED_BY_A_FAULT 0x20023
#define PAINT 0x5aa5c33cu
#define PAINTED_BYTES 65536u

static int host(int operation, const void *argument) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static void print(const char *text) {
  (void)host(SYS_WRITE0, text);
}

static void print_number(size_t number) {
  char digits[12];
  size_t at = sizeof(digits) - 1u;
  digits[at] = '\0';
  do {
    at -= 1u;
    digits[at] = (char)('0' + (number % 10u));
    number /= 10u;
  } while (number != 0u);
  print(&digits[at]);
}

static void report(const char *kind, const char *name, const char *expected, const char *seen) {
  print(kind);
  print(": ");
  print(name);
  print(": expected ");
  print(expected);
  print(", saw ");
  print(seen);
  print("\n");
}

static void halt(void) {
  print("a fault\n");
  (void)host(SYS_EXIT, (const void *)STOPPED_BY_A_FAULT);
  for (;;) {
  }
}

/* `volatile` keeps the compiler from making a call of memset of it, before there is a C library. */
void reset(void) {
  volatile uint32_t *to = &data_start;
  const uint32_t *from = &data_load;
  size_t ran = 0;
  while (to < &data_end) {
    *to++ = *from++;
  }
  for (to = &bss_start; to < &bss_end; to += 1) {
    *to = 0;
  }
  uintptr_t stack;
  __asm__ volatile("mov %0, sp" : "=r"(stack));
  const uintptr_t lowest = stack - PAINTED_BYTES;
  for (to = (volatile uint32_t *)lowest; to < (volatile uint32_t *)stack; to += 1) {
    *to = PAINT;
  }
  const struct ks_crypto crypto = ks_vector_crypto(&ks_test_hashes);
  const size_t failed = ks_vectors_run(&crypto, report, &ran);
  for (to = (volatile uint32_t *)lowest; *to == PAINT;) {
    to += 1;
  }
  print_number(ran);
  print(" vectors, ");
  print_number(failed);
  print(" failed, ");
  print_number((size_t)(stack - (uintptr_t)to));
  print(" bytes of stack\n");
  (void)host(SYS_EXIT, (const void *)(failed == 0u ? STOPPED_AS_IT_SHOULD : STOPPED_BY_A_FAULT));
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))&stack_top, reset, halt, halt, halt, halt, halt, 0, 0, 0, 0, halt, halt, 0, halt, halt};
