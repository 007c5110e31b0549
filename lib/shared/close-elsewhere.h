/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Closes a descriptor where it does no harm if that takes long: whoever closes a socket last also
 * closes what was passed over it and has not been received, such as a file of a file system that
 * does not answer. Here a child does so, when we have closed ours.
 */

/*
 * Takes the descriptor. Waits for the child, but only for a moment: it usually ends at once, and
 * has then given up the name of a socket. Negative: no child can be had, and the descriptor stays
 * open.
 */
int close_elsewhere(int fd);
