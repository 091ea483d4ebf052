// What a boot loader starts in the tests in place of a kernel: it says so on the console of QEMU's board `virt`, and
// turns the board off.

static const char text[] = "\nThe kernel of the tests runs.\n";

__attribute__((section(".text.first"), naked, noreturn)) void start(void) { __asm__("b run"); }

__attribute__((noreturn, used)) void run(void) {
  volatile unsigned *uart = (volatile unsigned *)0x09000000;
  const char *at;
  for (at = text; *at != '\0'; at++) *uart = (unsigned)*at;
  // PSCI SYSTEM_OFF (Arm DEN 0022).
  register unsigned function __asm__("r0") = 0x84000008u;
  __asm__ volatile(".arch_extension virt\n\thvc #0" : : "r"(function));
  for (;;) {
  }
}
