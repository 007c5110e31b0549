/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * seccomp's names for the architecture that this library was built for, and for the other one that
 * the same kernels run.
 */

#include <linux/audit.h>

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE  AUDIT_ARCH_X86_64
#define SIBLING_ARCHITECTURE AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE  AUDIT_ARCH_AARCH64
#define SIBLING_ARCHITECTURE AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCHITECTURE  AUDIT_ARCH_RISCV64
#define SIBLING_ARCHITECTURE AUDIT_ARCH_RISCV32
#else
#error "name this architecture's AUDIT_ARCH_ value"
#endif
