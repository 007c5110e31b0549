/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Releases memory that only a start or a reload needs: parsers, the verifier, half of libc. Gives
 * free heap memory back to the system, and drops unmodified pages of program text. A page that is
 * needed again is read from the page cache, at the cost of one minor fault for sixteen pages.
 *
 * Pages with a breakpoint or a probe in them differ from their file; the whole mapping that
 * contains one is left alone. No failure here matters.
 */

void trim(void);
