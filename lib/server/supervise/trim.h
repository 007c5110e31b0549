/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a start or a reload has needed and the months after it do not: parsers, verifier, half of libc. Gives free memory back to the system, and lets
 * go of the pages of program text that nobody has changed; what is needed again is read from the page cache at its next use, at the cost of a minor fault
 * for sixteen pages.
 *
 * Pages with a breakpoint or a probe in them differ from their file and are left alone, with the whole mapping they are in. Nothing here can fail in a
 * way that matters.
 */

void trim(void);
