/* For the thread sanitizer's build. It follows longjmp, but not the __longjmp_chk that Debian's Lua is compiled to call: each yield
 * out of a C function left frames on the sanitizer's own stack, until that overflowed. The link goes through here instead. */
#include <setjmp.h>

_Noreturn void __wrap___longjmp_chk(jmp_buf target, int value);

_Noreturn void __wrap___longjmp_chk(jmp_buf target, int value) { longjmp(target, value); }
